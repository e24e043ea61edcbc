/**
 * What revisions must say of a history, across all keys: each acknowledged write has one of its own, and a write that
 * was answered before another was called has the smaller one.
 */
export interface RevisedWrite {
  readonly name: string
  readonly call: number
  readonly end: number
  readonly revision: number
}

/** Everything that is wrong, in lines for people; at most ten. */
export const revisionProblems = (writes: ReadonlyArray<RevisedWrite>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const owners = new Map<number, RevisedWrite>()
  for (const write of writes) {
    const owner = owners.get(write.revision)
    if (owner !== undefined) problems.push(`${owner.name} and ${write.name} both have revision ${write.revision}`)
    owners.set(write.revision, write)
  }
  const byEnd = [...writes].sort((a, b) => a.end - b.end)
  let ended = 0
  let latest: RevisedWrite | undefined
  for (const write of [...writes].sort((a, b) => a.call - b.call)) {
    for (let next = byEnd[ended]; next !== undefined && next.end < write.call; next = byEnd[++ended]) {
      if (latest === undefined || next.revision > latest.revision) latest = next
    }
    if (latest !== undefined && latest.revision > write.revision) {
      problems.push(
        `${latest.name} had revision ${latest.revision} before ${write.name} was called, which has ${write.revision}`
      )
    }
  }
  return problems.slice(0, 10)
}
