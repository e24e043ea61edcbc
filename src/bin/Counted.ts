/** A number and what it counts. */
export const counted = (count: number, noun: "key" | "row"): string => `${count} ${noun}${count === 1 ? "" : "s"}`
