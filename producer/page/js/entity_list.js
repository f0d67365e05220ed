/** The filter by type with counts, and the list of entities, in which equal entities are one item. */
import { element } from "./dom.js";
import { number, t } from "./i18n.js";
import { bestScore, countsByType, grouped, sorted } from "./spans.js";
import { nameOf, shapeOf, slotOf } from "./entity_types.js";

const INITIAL_ITEMS = 150;
const STANDARD_TYPES = ["PER", "LOC", "ORG"];

export class EntityList {
  /**
   * @param {object} parts
   * @param {HTMLElement} parts.filter
   * @param {HTMLElement} parts.list
   * @param {HTMLElement} parts.summary
   * @param {HTMLSelectElement} parts.sort
   * @param {HTMLButtonElement} parts.more
   * @param {import("./editor.js").Editor} parts.editor
   * @param {import("./entity_card.js").EntityCard} parts.card
   */
  constructor({ filter, list, summary, sort, more, editor, card }) {
    Object.assign(this, { filter, list, summary, sort, more, editor, card });
    this.limit = INITIAL_ITEMS;
    this.drawn = { filter: "", list: "" };
    this.failed = false; // whether the last request of this text failed
    more.addEventListener("click", () => {
      this.limit = Infinity;
      const next = this.list.childElementCount;
      this.draw();
      this.list.children[next]?.firstElementChild.focus();
    });
    sort.addEventListener("change", () => this.draw());
    editor.addEventListener("entities", () => this.drawSoon());
  }

  /** Draw in the next frame, at most once. */
  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw({ force = false } = {}) {
    if (force) this.drawn = { filter: "", list: "" };
    this.drawFilter();
    this.drawList();
  }

  /** Set whether the text has no result because its request failed. */
  setFailed(failed) {
    if (failed === this.failed) return;
    this.failed = failed;
    this.drawSoon();
  }

  drawFilter() {
    const counts = countsByType(this.editor.entities);
    const { hidden } = this.editor;
    for (const type of hidden) if (!counts.has(type)) counts.set(type, 0);
    for (const type of STANDARD_TYPES) if (!counts.has(type)) counts.set(type, 0);
    const rank = (type) => (STANDARD_TYPES.includes(type) ? STANDARD_TYPES.indexOf(type) : STANDARD_TYPES.length);
    const types = [...counts.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const signature = types.join("\n");
    if (this.drawn.filter !== signature) {
      this.drawn.filter = signature;
      this.filter.replaceChildren(...types.map((type) => this.toggle(type)));
    }
    for (const button of this.filter.children) {
      const { type } = button.dataset;
      button.setAttribute("aria-pressed", String(!hidden.has(type)));
      button.lastElementChild.textContent = this.editor.answered ? number(counts.get(type)) : t("pendingCount");
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
    this.card.hide();
    this.editor.setHidden(hidden);
  }

  drawList() {
    const { visible, entities } = this.editor;
    this.summary.textContent = this.summarise(visible.length, entities.length);
    const groups = sorted(grouped(visible), this.sort.value);
    const listed = groups.slice(0, this.limit);
    const signature = listed.map((group) => `${group.type} ${group.text} ${group.places.length} ${percent(group)}`).join("\n");
    this.groups = listed;
    if (this.drawn.list !== signature) {
      this.drawn.list = signature;
      const focused = [...this.list.children].findIndex((item) => item.contains(document.activeElement));
      this.list.replaceChildren(...listed.map((group, index) => this.item(group, index)));
      if (focused >= 0) this.list.children[Math.min(focused, listed.length - 1)]?.firstElementChild.focus();
    }
    this.more.hidden = groups.length <= listed.length;
    this.more.textContent = t("showMore", { count: groups.length - listed.length });
    if (groups.length <= INITIAL_ITEMS) this.limit = INITIAL_ITEMS;
  }

  summarise(visible, all) {
    if (!this.editor.text.trim()) return t("noText");
    if (!this.editor.answered) return t(this.failed ? "noResult" : "pending");
    if (visible) return t("entityCount", { count: visible });
    if (!all) return t("noEntities");
    return t(this.editor.minScore ? "allFiltered" : "allHidden");
  }

  item(group, index) {
    const { text, type, places } = group;
    const button = element(
      "button",
      {
        type: "button",
        class: `item slot-${slotOf(type)}`,
        "aria-label": t("occurrences", { text, name: nameOf(type), count: places.length, score: percent(group) }),
        on: {
          click: () => this.showNext(index),
          focus: (event) => event.target.matches(":focus-visible") && this.showCard(index, button),
          blur: () => this.card.hide(),
          pointerenter: (event) => event.pointerType === "mouse" && this.showCard(index, button),
          pointerleave: () => this.hovered === button && this.card.hideSoon(),
        },
      },
      element("span", { class: "shape", "aria-hidden": "true" }, shapeOf(type)),
      element("span", { class: "item-text", lang: "zh-CN" }, text),
      element("span", { class: "item-type" }, nameOf(type)),
      element("span", { class: "item-score" }, percent(group)),
      places.length > 1 ? element("span", { class: "item-count" }, `×${number(places.length)}`) : null,
    );
    return element("li", {}, button);
  }

  showCard(index, button) {
    const entity = this.groups[index]?.places[0];
    this.hovered = button;
    if (entity) this.card.show(entity, () => button.getBoundingClientRect());
  }

  /** Show where the entity is in the text; each call shows its next occurrence. */
  showNext(index) {
    const { places } = this.groups[index];
    const last = this.last?.key === `${index} ${places.length}` ? this.last.place : -1;
    const place = (last + 1) % places.length;
    this.last = { key: `${index} ${places.length}`, place };
    const entity = places[place];
    this.hovered = null; // the item may scroll away from the pointer, which must not hide the card
    this.editor.scroller.scrollIntoView({ block: "nearest" });
    this.editor.reveal(entity);
    this.card.show(entity, () => this.editor.boxesOf(entity)[0]);
  }
}

/** Return the highest score of a group in per cent. */
const percent = (group) => `${number(bestScore(group) * 100)} %`;
