/** Text within HTML, as what it is: none of its characters begin or end anything. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
