// Keeps a page signed in while it stays open: warns before the session must be renewed, renews it at a
// click in a small window of its own, and sends again what the server refused meanwhile.
// How to use it: docs/how-to/session-script.md. It holds no secret, and believes nothing but GET session.
(() => {
  "use strict";
  const tag = document.currentScript;
  if (!tag || window.ssoSession) return;
  const home = new URL(".", tag.src); // our other pages lie beside this file
  if (home.origin !== location.origin) return;

  const TEXT = {
    warning: "Are you still there? If not, you will be signed out.",
    button: "Stay signed in",
    ending: "You will be signed out at {time}. Please finish what you are doing.",
    signedOut: "You were signed out. Sign in again to go on here.",
    signIn: "Sign in",
    someoneElse: "Somebody else is signed in now. This page is no longer up to date.",
    reload: "Reload",
    blocked: "The browser did not open the window. Please allow it, and press the button again.",
    close: "Close",
  };
  const data = tag.dataset; // data-signed-out="…" replaces TEXT.signedOut, and so on
  const warnFor = 1000 * (Number(data.warnSeconds ?? 60) || 0);
  const RETRY = 30000, WATCH = 5000, WATCH_FOR = 600000, LONGEST = 2 ** 31 - 1, MOST_WAITING = 50;
  const browserFetch = window.fetch;

  let who = null; // of whom this page is
  let since = null; // when that person was last vouched for: another value means "renewed"
  let longest = 0; // the longest time to the limit that was seen, which is about the whole of it
  let limit = 0, due = 0, timer = 0;
  let asking = null, askingNext = null, box = null, dismissed = null, watchUntil = 0, popup = null;
  const waiting = new Set(), wanted = new Set(); // refused requests; callers of renew()

  const settle = (set, outcome) => { for (const resolve of set) resolve(outcome); set.clear(); };
  const announce = () => window.dispatchEvent(new CustomEvent("sso:renewed"));

  // Asking how it stands. The answer is no activity, and the question is asked when it is due only.

  function wake(delay) {
    clearTimeout(timer);
    due = Date.now() + delay;
    timer = setTimeout(() => { if (!document.hidden) ask(); }, Math.min(delay, LONGEST));
  }

  // What is asked while an answer is under way may be news to it: one more question, for all who asked.
  function ask() {
    if (!asking) return (asking = look().finally(() => { asking = null; }));
    return (askingNext ??= asking.then(() => { askingNext = null; return ask(); }));
  }

  // "live", "renew" (by the identity provider), "out", "other" (not the person of this page) or "unknown"
  async function look() {
    let answer;
    try {
      const reply = await browserFetch(new URL("session", home), { cache: "no-store", credentials: "same-origin" });
      if (!reply.ok) throw new Error(reply.status);
      answer = await reply.json();
    } catch {
      wake(RETRY);
      return "unknown";
    }
    const state = answer.signed_in ? "live" : answer.state === "renew" ? "renew" : "out";
    const until = (name) => Date.parse(answer[name]) - Date.parse(answer.now);
    const next = state === "live" ? until("renew_at") : state === "renew" ? until("idle_ends_at") : RETRY;
    if (state !== "out") {
      const person = JSON.stringify([answer.connection, answer.email, answer.user_id]);
      who ??= person;
      since ??= answer.authenticated_at;
      if (who !== person) {
        present("other");
        settle(waiting, false);
        settle(wanted, false);
        return "other";
      }
    }
    limit = Date.now() + next;
    longest = Math.max(longest, state === "live" ? next : 0);
    const warnAt = next - Math.min(warnFor, longest / 2);
    const isSoon = state === "live" && warnAt <= 0;
    if (state === "live") {
      const isRenewed = since !== answer.authenticated_at;
      since = answer.authenticated_at;
      settle(waiting, true);
      if (isRenewed) { watchUntil = 0; settle(wanted, true); announce(); }
      if (!isSoon) { hide(); dismissed = null; }
    }
    if (isSoon && warnFor) present(answer.renew_at === answer.expires_at ? "ending" : "warning");
    if (state === "renew" && warnFor) present("warning");
    if (state === "out" && who) present("signedOut");
    const pause = state === "live" && !isSoon ? warnAt : state === "out" ? Infinity : next;
    if (Date.now() < watchUntil) wake(WATCH);
    else if (pause < Infinity) wake(pause + 50);
    else if (!who) due = Infinity; // a page for everybody
    return state;
  }

  const askIfDue = () => { if (!document.hidden && (Date.now() >= due || watchUntil)) ask(); };
  document.addEventListener("visibilitychange", askIfDue);
  window.addEventListener("pageshow", ({ persisted }) => { if (persisted) ask(); });
  window.addEventListener("focus", async () => { // back from the window: renewed, or not
    if (!watchUntil) return;
    watchUntil = Math.min(watchUntil, Date.now() + 6 * WATCH);
    await ask();
    settle(wanted, false);
  });
  // Whoever tells us that something changed only makes us ask.
  window.addEventListener("message", ({ origin, source, data: word }) => {
    if (origin === location.origin && source === popup && word === "sso:renewed") ask();
  });
  if (window.BroadcastChannel) new BroadcastChannel("sso:renewed").onmessage = () => ask();

  // Renewing: always in a window at the top, for in a frame the browser would keep our cookies back.

  function renewInWindow() {
    popup = window.open(new URL("renew?window=1", home), "sso-renew", "popup,width=520,height=680");
    if (popup) { watchUntil = Date.now() + WATCH_FOR; wake(WATCH); }
    return popup !== null;
  }

  window.ssoSession = Object.freeze({
    // Call it from a click. Resolves to whether the session was renewed.
    renew: () => new Promise((resolve) => { if (renewInWindow()) wanted.add(resolve); else resolve(false); }),
  });

  // What the person sees

  const KINDS = {
    warning: ["warning", "button"], ending: ["ending", "close"], signedOut: ["signedOut", "signIn"],
    other: ["someoneElse", "reload"],
  };
  const STYLE = `
    .box { position: fixed; z-index: 2147483647; inset-inline-end: 1rem; bottom: 1rem; box-sizing: border-box;
      width: min(24rem, calc(100vw - 2rem)); padding: 1.1rem 1.25rem; font: 16px/1.5 system-ui, sans-serif; text-align: start;
      color: CanvasText; background: Canvas; border: 2px solid; border-radius: .6rem; box-shadow: 0 .4rem 1.5rem #0005; }
    p { margin: 0; } button { font: inherit; padding: .4rem 1rem; margin: .8rem .6rem 0 0; cursor: pointer; }
    .main { font-weight: 600; } :focus-visible { outline: 3px solid; outline-offset: 2px; }
    @media print { .box { display: none; } }`;

  function element(kind, word, properties) {
    const made = Object.assign(document.createElement(kind), properties);
    if (word) {
      const time = new Date(limit).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      made.textContent = (data[word] ?? TEXT[word]).replace("{time}", time);
      if (!(word in data)) made.lang = "en";
    }
    return made;
  }

  // `isAsked`: a request waits for it, so it is shown although it was closed before.
  function present(kind, isAsked = false) {
    if (box?.kind === kind || (dismissed === kind && !isAsked)) return;
    hide();
    const [sentence, label] = KINDS[kind];
    const last = document.activeElement;
    // Nobody's focus is taken while they type; and a blank or Enter that was meant for the page presses no button.
    const isTyping = last?.isContentEditable || /^(INPUT|TEXTAREA|SELECT|IFRAME)$/.test(last?.tagName);
    const shell = document.createElement("div");
    const root = shell.attachShadow({ mode: "open" });
    try {
      const sheet = new CSSStyleSheet(); // no policy forbids this kind
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
    } catch {
      Object.assign(shell.style, { position: "fixed", right: "1rem", bottom: "1rem", zIndex: 2147483647, padding: "1rem", background: "Canvas", border: "2px solid" });
    }
    const frame = element("div", null, { className: "box", tabIndex: -1 });
    frame.setAttribute("role", isTyping ? "alert" : "alertdialog");
    frame.setAttribute("aria-labelledby", "text");
    frame.setAttribute("part", "box");
    const text = element("p", sentence, { id: "text" });
    const main = element("button", label, { type: "button", className: "main" });
    main.setAttribute("part", "button");
    main.onclick = () => {
      if (kind === "other") location.reload();
      else if (kind === "ending") dismiss();
      else if (!renewInWindow()) text.replaceWith(element("p", "blocked", { id: "text" }));
    };
    frame.append(text, main);
    if (kind !== "ending") frame.append(element("button", "close", { type: "button", onclick: dismiss }));
    root.append(frame);
    (document.body ?? document.documentElement).append(shell);
    document.addEventListener("keydown", escape);
    box = { kind, shell, last };
    if (!isTyping) frame.focus();
  }

  function hide() {
    if (!box) return;
    const { shell, last } = box;
    const hadFocus = document.activeElement === shell;
    box = null;
    document.removeEventListener("keydown", escape);
    shell.remove();
    if (hadFocus) last?.focus?.();
  }

  function dismiss() { // whatever waits is told no
    dismissed = box?.kind ?? null;
    hide();
    settle(waiting, false);
    settle(wanted, false);
  }

  function escape(event) {
    if (event.key === "Escape") dismiss();
  }

  // Requests that met the limit

  async function renewal(signal) {
    const state = await ask();
    signal.throwIfAborted();
    if (state === "live") return true; // another tab was quicker
    if ((state !== "renew" && state !== "out") || !who || waiting.size >= MOST_WAITING) return false;
    present(state === "out" ? "signedOut" : "warning", true);
    return new Promise((resolve, reject) => {
      waiting.add(resolve);
      signal.addEventListener("abort", () => { if (waiting.delete(resolve)) reject(signal.reason); }, { once: true });
    });
  }

  const isOwn = (url) => url.origin === location.origin && !url.href.startsWith(home.href);

  // The same request, to be sent a second time; null if it can't be, or is none of ours.
  function copyOf(input, init) {
    try {
      const given = input instanceof Request;
      if (!isOwn(new URL(given ? input.url : input, document.baseURI))) return null;
      if (init?.body instanceof ReadableStream) return null; // can be read once
      const copy = new Request(given ? input.clone() : input, init);
      return copy.headers.has("X-SSO-Polling") ? null : copy;
    } catch {
      return null; // what is wrong with it, the browser's own fetch will say
    }
  }

  async function isRefusedForNow(reply) {
    if (reply.status !== 401 || !/^application\/problem\+json/i.test(reply.headers.get("Content-Type"))) return false;
    const problem = await reply.clone().json().catch(() => null);
    return problem?.code === "reauthentication_required" || problem?.code === "sign_in_required";
  }

  if (!("noFetch" in data)) {
    window.fetch = async function fetch(input, init) {
      const copy = copyOf(input, init);
      const reply = await browserFetch.call(window, input, init);
      if (!copy || !(await isRefusedForNow(reply))) return reply;
      return (await renewal(copy.signal)) ? browserFetch.call(window, copy) : reply;
    };

    // An XMLHttpRequest can't be held back: the app hears of it, and again (`sso:renewed`) when it may try anew.
    const open = XMLHttpRequest.prototype.open;
    XMLHttpRequest.prototype.open = function (...how) {
      const before = since;
      this.addEventListener("loadend", () => hear(this, before), { once: true });
      return open.apply(this, how);
    };
  }

  async function hear(xhr, before) {
    if (xhr.status !== 401 || !isOwn(new URL(xhr.responseURL))) return;
    if (!/^SSO /i.test(xhr.getResponseHeader("WWW-Authenticate"))) return;
    window.dispatchEvent(new CustomEvent("sso:renewal-required", { detail: { xhr } }));
    const known = since;
    const state = await ask();
    if (state === "live" && since === known && before && since !== before) announce(); // was renewed while it was under way
    if (who && state === "renew") present("warning", true);
    if (who && state === "out") present("signedOut", true);
  }

  ask();
})();
