/**
 * Makes elements. Text is always set as text, so nothing that a user typed is ever read as HTML.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] `class`, `data`, `on`, `aria-…` and `role` are understood; all others
 *   are set as properties of the element
 * @param {...(Node | string | null)} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name.startsWith("aria-") || name === "role" || name === "for") made.setAttribute(name, String(value));
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element with this id, which the page must have. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Copy text; where the page is not served securely, by the older way. Resolves to whether it went well. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const holder = element("textarea", { class: "off-screen", value: text, readOnly: true });
    document.body.append(holder);
    holder.select();
    const done = document.execCommand("copy");
    holder.remove();
    before?.focus?.();
    return done;
  }
}

/** Hand a file to the user. */
export function download(name, type, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
