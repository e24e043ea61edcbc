/** The code of an error of the system, Node or OpenSSL, such as `ENOENT`; `undefined` when it has none. */
export const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

/** The system says that something exists already. */
export const isExisting = (error: unknown): boolean => errorCode(error) === "EEXIST"

/** The system says that a file or folder does not exist. */
export const isMissing = (error: unknown): boolean => errorCode(error) === "ENOENT"
