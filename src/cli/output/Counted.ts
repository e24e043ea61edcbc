/** A number and what it counts. */
export const counted = (count: number, noun: "difference" | "key" | "lease" | "row"): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`
