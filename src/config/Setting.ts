/**
 * What there is to say of a setting that is a whole number. The name of its flag and of its variable, its line of
 * `--help`, its validation and its row in `docs/configuration.md` follow from this.
 */

/** What a setting counts. */
export type Unit = "milliseconds" | "bytes" | "count"

export interface IntegerSetting {
  readonly unit: Unit
  readonly default: number
  readonly minimum: number
  readonly maximum?: number
  /** What it bounds, and what happens there. One sentence without a full stop, for a line of `--help`. */
  readonly text: string
  /** What the default is when it is not the number. */
  readonly otherDefault?: string
}

const words = (name: string): ReadonlyArray<string> => name.split(/(?=[A-Z])/).map((word) => word.toLowerCase())

/** `maxLogBytes` is `max-log-bytes`, without the two dashes. */
export const flagOf = (name: string): string => words(name).join("-")

/** `maxLogBytes` is `FLAREDB_MAX_LOG_BYTES`. */
export const variableOf = (name: string): string => `FLAREDB_${words(name).join("_").toUpperCase()}`

const units: Record<Unit, ReadonlyArray<readonly [size: number, name: string]>> = {
  milliseconds: [[86_400_000, "days"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"], [1, "ms"]],
  bytes: [[1024 * 1024, "MiB"], [1024, "KiB"], [1, "bytes"]],
  count: []
}

const withCommas = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ",")

/** A value for people: `64 MiB`, `1 h`, `65,536`. The largest unit of which it is a whole number. */
export const formatValue = (unit: Unit, value: number): string => {
  const [size, name] = units[unit].find(([bytes]) => value >= bytes && value % bytes === 0) ?? [1, ""]
  const number = value / size
  return `${withCommas(number)} ${number === 1 ? name.replace(/^(day|byte)s$/, "$1") : name}`.trimEnd()
}

/** Why a setting cannot have a value, if it cannot. */
export const integerProblem = (setting: IntegerSetting, value: number): string | undefined => {
  const { maximum = Number.MAX_SAFE_INTEGER, minimum } = setting
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return undefined
  const range = setting.maximum === undefined ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`
  return `must be an integer ${range}, got ${value}`
}
