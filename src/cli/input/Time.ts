/** Times on a command line. */

const written = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/

/**
 * Milliseconds since 1970 of a time such as `2026-11-29T10:00:00Z`; `undefined` for anything else. JavaScript by itself
 * takes 30 February for 2 March, and reads `11/05/2026` and `1Z` in its own way.
 */
export const parseTime = (text: string): number | undefined => {
  const [, year, month, day, hour] = written.exec(text) ?? []
  const ms = Date.parse(text)
  if (year === undefined || Number.isNaN(ms) || Number(hour) > 23) return undefined
  const daysOfMonth = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  return Number(day) <= daysOfMonth ? ms : undefined
}
