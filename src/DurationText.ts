/** Durations as people read them, for all that shows one: commands, log lines, errors and the console's page. */

const units = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]] as const

/** What is less counts as nothing. */
const leastMs = 0.0005

/** Milliseconds below a second; of a few, such as a clock is off by or a sync takes, with two digits. */
const belowSecond = (ms: number): string =>
  `${ms < leastMs ? 0 : ms < 10 ? Number(ms.toPrecision(2)) : Math.round(ms)}ms`

/**
 * Milliseconds in the largest unit that writes them exactly enough: `1500` is `1.5s`, `90061000` is `1d1h1m1s`, or
 * `1d1h` where no more than two units are asked for.
 */
export const formatDuration = (ms: number, mostUnits: number = units.length): string => {
  if (ms <= -leastMs) return `-${formatDuration(-ms, mostUnits)}`
  if (ms < 999.5) return belowSecond(ms)
  if (ms < 60_000) return `${Math.floor(Math.max(ms, 1_000) / 100) / 10}s`
  let left = Math.floor(ms / 1_000)
  const parts = units.map(([unit, seconds]) => {
    const count = Math.floor(left / seconds)
    left -= count * seconds
    return { count, text: `${count}${unit}` }
  })
  const first = parts.findIndex(({ count }) => count > 0)
  return parts.slice(first, first + mostUnits).filter(({ count }) => count > 0).map(({ text }) => text).join("")
}

/** A difference, which has a direction: `+0.8ms`, `-1d`. */
export const formatDifference = (ms: number): string => `${ms <= -leastMs ? "" : "+"}${formatDuration(ms)}`
