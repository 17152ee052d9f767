"""Say in words why a message was refused: what came, what was expected, and who must change what.

For the admin only, never for the page that the person sees. The verdict is always that of the real
functions (parsing.py, response.py, the flows): nothing here verifies anything, so it can't disagree with
them. What is read of a message besides (glimpse.py) is not verified, and says so.

    wording.py       how two values differ, and how anything from outside is shown
    glimpse.py       what a message says of itself, without believing it
    readings.py      for each check that can be looked at: what came, what was expected
    check.py         what a check is
    checks.py        the table: every check in order, the errors that it raises, who must act
    explanation.py   an error and a message in, an explanation out
    stored.py        an explanation as it is kept with an event
"""
