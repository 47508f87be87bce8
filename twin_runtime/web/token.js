// Writes, with the token that they need where one is configured. It is kept for this tab alone.

import { setToken } from "./api.js";
import { el } from "./dom.js";

const NEEDED = new Set([401, 403]);

// Do what `act` does; where a token is needed, ask for one and do it again, once.
export async function authorised(act) {
  try {
    return await act();
  } catch (error) {
    if (!NEEDED.has(error.status)) throw error;
    const token = await asked(error.message);
    if (!token) throw error;
    setToken(token);
    return act();
  }
}

function asked(why) {
  const field = el("input", { type: "password", id: "token", required: true, maxLength: 500, autocomplete: "off" });
  const dialog = el("dialog", { "aria-labelledby": "token-title" },
    el("form", { method: "dialog", className: "fields" }, el("h2", { id: "token-title" }, "This write needs a token"),
      el("p", { className: "quiet" }, why), el("label", { htmlFor: "token" }, "Token"), field,
      el("div", { className: "pair" }, el("button", { value: "ok" }, "Use it"),
        el("button", { value: "", type: "submit", formNoValidate: true }, "Cancel"))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "ok" ? field.value : "");
    });
  });
}
