// The first login: name and password, and what to do when it fails.
import { call, remember } from "./api.js";
import { fill, h, values } from "./dom.js";
import { t } from "./words.js";

/** Dispatches `logged-in`. */
export class LoginForm extends HTMLElement {
  connectedCallback() {
    const failure = h("p", { class: "notice bad hidden", role: "alert" });
    const button = h("button", { class: "primary", type: "submit" }, t("login.enter"));
    const form = h(
      "form",
      {
        class: "card stack",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          button.disabled = true;
          try {
            const given = values(form);
            remember(await call("POST", "session", { name: given["name"], password: given["password"] }));
            this.dispatchEvent(new CustomEvent("logged-in", { bubbles: true }));
          } catch (error) {
            failure.textContent = error instanceof Error && error.name !== "TypeError" ? error.message : t("app.unreachable");
            failure.classList.remove("hidden");
          } finally {
            button.disabled = false;
          }
        },
      },
      h("h1", {}, t("login.title")),
      h("label", {}, h("span", {}, t("login.name")), h("input", { name: "name", autocomplete: "username", required: true, autofocus: true, autocapitalize: "none" })),
      h("label", {}, h("span", {}, t("login.password")), h("input", { name: "password", type: "password", autocomplete: "current-password", required: true })),
      failure,
      button,
      h("p", { class: "soft small" }, t("login.hint")),
    );
    fill(this, h("div", { class: "login" }, h("div", { class: "brand" }, h("img", { src: "/static/mark.svg", alt: "" }), "Portwitness"), form));
  }
}

customElements.define("login-form", LoginForm);
