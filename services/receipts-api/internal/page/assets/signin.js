// The page /signin: turns the token in the address's fragment, which reaches no
// server and no log, into the session cookie.

const element = (id) => document.getElementById(id);

const show = (id) => {
  for (const other of ["signing-in", "no-link", "refused", "unreachable"]) element(other).hidden = other !== id;
};

const token = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname); // out of the address bar and the history

async function signIn() {
  show("signing-in");
  try {
    const answer = await fetch("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(15_000) });
    if (answer.ok) location.replace("/");
    else show(answer.status < 500 ? "refused" : "unreachable");
  } catch {
    show("unreachable");
  }
}

element("again").addEventListener("click", signIn);
element("language").addEventListener("click", () => {
  document.cookie = `receipts_language=${element("language").dataset.language}; path=/; max-age=31536000; samesite=lax`;
  location.reload();
});
if (token) signIn();
else show("no-link");
