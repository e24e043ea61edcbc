/** What one look at a machine or a cluster found: measured, held against a limit, with what to do about it. */

/** `unknown` is for what could not be looked at here; it says why, and is no failure. */
export type CheckStatus = "ok" | "warning" | "failure" | "unknown"

export interface Check {
  /** What was looked at: `disk.sync`, `node 2 clock`. */
  readonly name: string
  readonly status: CheckStatus
  readonly measured: string
  /** What it is held against; empty where nothing could be measured. */
  readonly limit: string
  /** What to do; empty when there is nothing to be done. */
  readonly advice: string
}

export const ok = (name: string, measured: string, limit = ""): Check => ({
  name,
  status: "ok",
  measured,
  limit,
  advice: ""
})

/** Advice follows what was measured behind a semicolon, so a message that ends a sentence loses its full stop. */
export const problem = (name: string, measured: string, advice: string): Check => ({
  name,
  status: "failure",
  measured: measured.replace(/\.$/, ""),
  limit: "",
  advice
})

export const unknown = (name: string, why: string, advice = ""): Check => ({
  name,
  status: "unknown",
  measured: `not checked: ${why}`,
  limit: "",
  advice
})

/** The first of `steps` that holds decides; `ok` when none does. */
export const judge = (
  name: string,
  measured: string,
  limit: string,
  steps: ReadonlyArray<readonly [holds: boolean, status: "warning" | "failure", advice: string]>
): Check => {
  const found = steps.find(([holds]) => holds)
  return found === undefined
    ? ok(name, measured, limit)
    : { name, status: found[1], measured, limit, advice: found[2] }
}

const order: Record<CheckStatus, number> = { failure: 0, warning: 1, unknown: 2, ok: 3 }

/** What has to be done first comes first; checks of one status keep their order. */
export const byUrgency = (checks: ReadonlyArray<Check>): ReadonlyArray<Check> =>
  [...checks].sort((a, b) => order[a.status] - order[b.status])

export const countOf = (checks: ReadonlyArray<Check>, status: CheckStatus): number =>
  checks.filter((check) => check.status === status).length
