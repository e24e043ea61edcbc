/** Figures as people read them. */
import { formatDuration } from "../src/DurationText.ts"

const number = new Intl.NumberFormat("en")

export const count = (value: number | null): string => value === null ? "–" : number.format(Math.round(value))

/** A rate, with a digit behind the point where it is small. */
export const rate = (value: number | null): string =>
  value === null ? "–" : value > 0 && value < 10 ? value.toFixed(1) : count(value)

export const bytes = (value: number | null): string => {
  if (value === null) return "–"
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let amount = value
  let unit = 0
  while (amount >= 1_024 && unit < units.length - 1) {
    amount /= 1_024
    unit += 1
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`
}

export const milliseconds = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : formatDuration(value, 2)

/** How long something takes, in its two largest units. */
export const span = (ms: number): string => formatDuration(Math.max(0, Math.round(ms / 1_000)) * 1_000, 2)

// Each `toLocaleTimeString` would make a format of its own, which takes longer than all else that a chart does.
const time = { hour: "numeric", minute: "numeric", second: "numeric", hour12: false } as const
const clockFormat = new Intl.DateTimeFormat(undefined, time)
const dateTimeFormat = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "numeric",
  day: "numeric",
  ...time
})

export const clock = (ms: number): string => clockFormat.format(ms)

export const dateTime = (ms: number): string => dateTimeFormat.format(ms)

export const ago = (nowMs: number, ms: number): string => `${span(nowMs - ms)} ago`
