/** The version of this package, as `flaredb --version` prints it and nodes tell it to each other. */
export const version = "0.1.0"

/** Why something of another format cannot be read, and which release can. `release` is the one that wrote it. */
export const otherFormat = (found: number, reads: number, release?: string): string =>
  `format ${found}, and flaredb ${version} reads format ${reads}: ` +
  (release !== undefined
    ? `run flaredb ${release}, which wrote it`
    : `the ${found > reads ? "later" : "earlier"} release that wrote it reads it`)
