import { html, useState } from "./preact.js";
import { signIn } from "./api.js";

// SignIn takes a user and a password, or a token alone.
export function SignIn({ note, done }) {
  const [problem, setProblem] = useState(note || "");
  const [busy, setBusy] = useState(false);
  const submit = async (e) => {
    e.preventDefault();
    const form = new FormData(e.target);
    setBusy(true);
    try {
      done(await signIn(form.get("user"), form.get("password")));
    } catch (p) {
      setProblem(p.status === 401 ? "the user or the password is wrong" : p.message);
      setBusy(false);
    }
  };
  return html`<main class="signin">
    <h1><img src="/console/icon.svg" alt="" width="28" height="28" /> conch</h1>
    <form onSubmit=${submit}>
      <label>User <input name="user" autocomplete="username" autocapitalize="none" placeholder="empty for a token" /></label>
      <label>Password or token <input name="password" type="password" autocomplete="current-password" required /></label>
      <button disabled=${busy}>Sign in</button>
      <p class="problem" role="alert">${problem}</p>
    </form>
  </main>`;
}
