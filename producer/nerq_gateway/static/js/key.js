/** Asks for the API key where the service wants one. */
import { setApiKey } from "./api.js";
import { byId } from "./dom.js";

export class KeyDialog {
  /** @param {() => void} onKey called when a key was entered */
  constructor(onKey) {
    this.dialog = byId("key-dialog");
    this.field = byId("key-field");
    this.wrong = byId("key-wrong");
    this.tried = false;
    byId("key-cancel").addEventListener("click", () => this.dialog.close());
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      setApiKey(this.field.value.trim());
      this.tried = true;
      this.dialog.close();
      onKey();
    });
  }

  ask() {
    if (this.dialog.open) return;
    this.wrong.hidden = !this.tried;
    this.field.value = "";
    this.dialog.showModal();
    this.field.focus();
  }
}
