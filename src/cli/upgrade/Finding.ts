/** What one of the checks before an upgrade found. */

export interface Finding {
  /** What was looked at: "nodes", "backup" … */
  readonly check: string
  readonly ok: boolean
  readonly found: string
  /** What to do about a problem. */
  readonly advice?: string
}

export const fine = (check: string, found: string): Finding => ({ check, ok: true, found })

/** Advice follows what was found behind a semicolon, so a message that ends a sentence loses its full stop. */
export const problem = (check: string, found: string, advice: string): Finding => ({
  check,
  ok: false,
  found: found.replace(/\.$/, ""),
  advice
})
