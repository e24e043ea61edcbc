/** The version of this package, as `flaredb --version` prints it and nodes tell it to each other. */
export const version = "0.1.0"
