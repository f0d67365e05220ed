/** The dialog that asks for an API key. */
import { setApiKey } from "./api.js";
import { byId } from "./dom.js";

export class KeyDialog {
  /** @param {() => void} onKey called after a key was entered */
  constructor(onKey) {
    this.dialog = byId("key-dialog");
    this.field = byId("key-field");
    this.wrong = byId("key-wrong");
    this.tried = false;
    this.declined = false; // after that only the button opens the dialog, not each request
    byId("key-cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => (this.declined = !this.entered));
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      setApiKey(this.field.value.trim());
      this.tried = true;
      this.entered = true;
      this.dialog.close();
      onKey();
    });
  }

  /** Open the dialog, unless the user has closed it before. */
  offer() {
    if (!this.declined) this.ask();
  }

  ask() {
    if (this.dialog.open) return;
    this.entered = false;
    this.wrong.hidden = !this.tried;
    this.field.value = "";
    this.dialog.showModal();
    this.field.focus();
  }
}
