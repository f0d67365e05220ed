/** The browser's storage, which may be disabled or full; what cannot be stored lasts for this visit. */

/** @param {() => Storage} area @param {string} name @returns {string | null} */
export function read(area, name) {
  try {
    return area().getItem(name);
  } catch {
    return null;
  }
}

/** Store a value, or remove it if it is null. @param {() => Storage} area @param {string} name @param {string | null} value */
export function write(area, name, value) {
  try {
    if (value === null) area().removeItem(name);
    else area().setItem(name, value);
  } catch {
    // lasts for this visit
  }
}

export const forTab = () => sessionStorage;
export const forever = () => localStorage;
