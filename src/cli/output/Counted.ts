/** A number and what it counts. */
export const counted = (count: number, noun: "difference" | "failure" | "key" | "lease" | "row" | "warning"): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`
