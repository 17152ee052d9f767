// Tells the page that opened this window, and every other tab of this origin, to ask anew; then closes itself.
if (window.opener) window.opener.postMessage("sso:renewed", location.origin);
if (window.BroadcastChannel) new BroadcastChannel("sso:renewed").postMessage("");
window.close();
