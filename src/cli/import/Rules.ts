/** What an import may do to keys that FlareDB has. */

/** What becomes of keys that are in FlareDB with other contents. */
export const existingModes = ["fail", "skip", "replace"] as const
export type IfExists = (typeof existingModes)[number]

export interface Rules {
  readonly ifExists: IfExists
  /** Whether the target prefix is to hold nothing else. */
  readonly exact: boolean
}

/** What keys of imports begin with. No key is imported to there, or compared. */
export const statePrefix = "flaredb-import/"
