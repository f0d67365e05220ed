/** What was found: a filter by type with counts, and the list of entities, equal ones as one line. */
import { element } from "./dom.js";
import { number, t } from "./i18n.js";
import { countsByType, grouped } from "./spans.js";
import { nameOf, shapeOf, slotOf } from "./types.js";

const FIRST_SHOWN = 150;
const ALWAYS_FIRST = ["PER", "LOC", "ORG"];

export class Found {
  /**
   * @param {object} parts
   * @param {HTMLElement} parts.filter
   * @param {HTMLElement} parts.list
   * @param {HTMLElement} parts.summary
   * @param {HTMLButtonElement} parts.more
   * @param {import("./editor.js").Editor} parts.editor
   * @param {import("./details.js").Details} parts.details
   */
  constructor({ filter, list, summary, more, editor, details }) {
    Object.assign(this, { filter, list, summary, more, editor, details });
    this.limit = FIRST_SHOWN;
    this.drawn = { filter: "", list: "" };
    more.addEventListener("click", () => {
      this.limit = Infinity;
      const next = this.list.childElementCount;
      this.draw();
      this.list.children[next]?.firstElementChild.focus();
    });
    editor.addEventListener("entities", () => this.later());
  }

  /** At most once a frame, however fast someone types. */
  later() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this.draw();
    });
  }

  draw({ anew = false } = {}) {
    if (anew) this.drawn = { filter: "", list: "" };
    this.drawFilter();
    this.drawList();
  }

  drawFilter() {
    const counts = countsByType(this.editor.entities);
    const { hidden } = this.editor;
    for (const type of hidden) if (!counts.has(type)) counts.set(type, 0);
    for (const type of ALWAYS_FIRST) if (!counts.has(type)) counts.set(type, 0);
    const rank = (type) => (ALWAYS_FIRST.includes(type) ? ALWAYS_FIRST.indexOf(type) : ALWAYS_FIRST.length);
    const types = [...counts.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const signature = types.join("\n");
    if (this.drawn.filter !== signature) {
      this.drawn.filter = signature;
      this.filter.replaceChildren(...types.map((type) => this.toggle(type)));
    }
    for (const button of this.filter.children) {
      const { type } = button.dataset;
      button.setAttribute("aria-pressed", String(!hidden.has(type)));
      button.lastElementChild.textContent = number(counts.get(type));
      button.classList.toggle("none", counts.get(type) === 0);
    }
  }

  toggle(type) {
    const name = nameOf(type);
    return element(
      "button",
      {
        type: "button",
        class: `toggle slot-${slotOf(type)}`,
        title: t("filterHint", { name }),
        data: { type },
        on: { click: () => this.switch(type) },
      },
      element("span", { class: "shape", "aria-hidden": "true" }, shapeOf(type)),
      element("span", {}, name),
      element("span", { class: "count" }, "0"),
    );
  }

  switch(type) {
    const hidden = new Set(this.editor.hidden);
    if (!hidden.delete(type)) hidden.add(type);
    this.details.hide();
    this.editor.setHidden(hidden);
  }

  drawList() {
    const { shown, entities } = this.editor;
    this.summary.textContent = this.sentence(shown.length, entities.length);
    const groups = grouped(shown);
    const seen = groups.slice(0, this.limit);
    const signature = seen.map((group) => `${group.type} ${group.text} ${group.places.length}`).join("\n");
    this.groups = seen;
    if (this.drawn.list !== signature) {
      this.drawn.list = signature;
      const focused = [...this.list.children].findIndex((item) => item.contains(document.activeElement));
      this.list.replaceChildren(...seen.map((group, index) => this.item(group, index)));
      if (focused >= 0) this.list.children[Math.min(focused, seen.length - 1)]?.firstElementChild.focus();
    }
    this.more.hidden = groups.length <= seen.length;
    this.more.textContent = t("showMore", { count: groups.length - seen.length });
    if (groups.length <= FIRST_SHOWN) this.limit = FIRST_SHOWN;
  }

  sentence(shown, all) {
    if (!this.editor.text.trim()) return t("foundEmpty");
    if (shown) return t("found", { count: shown });
    return all ? t("allHidden") : t("foundNone");
  }

  item({ text, type, places }, index) {
    const button = element(
      "button",
      {
        type: "button",
        class: `item slot-${slotOf(type)}`,
        "aria-label": t("occurrences", { text, name: nameOf(type), count: places.length }),
        on: {
          click: () => this.go(index),
          focus: (event) => event.target.matches(":focus-visible") && this.tell(index, button),
          blur: () => this.details.hide(),
          pointerenter: (event) => event.pointerType === "mouse" && this.tell(index, button),
          pointerleave: () => this.details.leave(),
        },
      },
      element("span", { class: "shape", "aria-hidden": "true" }, shapeOf(type)),
      element("span", { class: "item-text", lang: "zh-CN" }, text),
      element("span", { class: "item-type" }, nameOf(type)),
      places.length > 1 ? element("span", { class: "item-count" }, `×${number(places.length)}`) : null,
    );
    return element("li", {}, button);
  }

  tell(index, button) {
    const entity = this.groups[index]?.places[0];
    if (entity) this.details.show(entity, () => button.getBoundingClientRect());
  }

  /** Show where in the text the entity stands; each time the next place. */
  go(index) {
    const { places } = this.groups[index];
    const last = this.last?.key === `${index} ${places.length}` ? this.last.place : -1;
    const place = (last + 1) % places.length;
    this.last = { key: `${index} ${places.length}`, place };
    const entity = places[place];
    this.editor.scroller.scrollIntoView({ block: "nearest" });
    this.editor.reveal(entity);
    this.details.show(entity, () => this.editor.boxesOf(entity)[0]);
  }
}
