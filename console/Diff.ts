/** What changed from one text to the next, line by line: the longest common lines stay. */

export interface DiffLine {
  readonly kind: "same" | "added" | "removed"
  readonly text: string
}

/** Lines of both sides that are compared; longer texts are shown as one that went and one that came. */
const maxLines = 600

const whole = (before: ReadonlyArray<string>, after: ReadonlyArray<string>): ReadonlyArray<DiffLine> => [
  ...before.map((text) => ({ kind: "removed" as const, text })),
  ...after.map((text) => ({ kind: "added" as const, text }))
]

export const diffLines = (before: string, after: string): ReadonlyArray<DiffLine> => {
  const [a, b] = [before.split("\n"), after.split("\n")]
  if (a.length > maxLines || b.length > maxLines) return whole(a, b)
  // lengths[i][j]: common lines of what is behind line i of the one and line j of the other.
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1))
  for (let i = a.length - 1; i >= 0; i--) {
    const [row, below] = [lengths[i] as Uint16Array, lengths[i + 1] as Uint16Array]
    for (let j = b.length - 1; j >= 0; j--) {
      row[j] = a[i] === b[j]
        ? (below[j + 1] as number) + 1
        : Math.max(below[j] as number, row[j + 1] as number)
    }
  }
  const lines: Array<DiffLine> = []
  let [i, j] = [0, 0]
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      lines.push({ kind: "same", text: a[i] as string })
      i += 1
      j += 1
    } else if ((lengths[i + 1]?.[j] ?? 0) >= (lengths[i]?.[j + 1] ?? 0)) {
      lines.push({ kind: "removed", text: a[i] as string })
      i += 1
    } else {
      lines.push({ kind: "added", text: b[j] as string })
      j += 1
    }
  }
  return [...lines, ...whole(a.slice(i), b.slice(j))]
}
