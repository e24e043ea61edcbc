/** Locks and elections: who is at the head of each line, and who waits behind. */
import { Effect } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { waitQueuesPrefix } from "../../client/WaitQueue.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** One that holds a lock, leads, or waits for that. */
export interface Waiter {
  /** What it said of itself. */
  readonly owner: string
  readonly lease: number
  /** The fencing revision. */
  readonly revision: number
}

export interface LineView {
  readonly name: string
  readonly holder: Waiter
  readonly waiting: ReadonlyArray<Waiter>
}

/** Keys that are read, and bytes of what one says of itself. */
const maxKeys = 2_000
const maxOwnerBytes = 200

/** Every line of a kind, by name. `more` says that there are more than are read. */
export const lines = Effect.fnUntraced(function*(
  kind: "lock" | "election"
): Effect.fn.Return<
  { readonly lines: ReadonlyArray<LineView>; readonly more: boolean },
  ReadFailure,
  KeyValue
> {
  const kv = yield* KeyValue
  const prefix = waitQueuesPrefix(kind)
  const { cursor, entries } = yield* kv.scan(prefix, { limit: maxKeys })
  const found = new Map<string, Array<Waiter>>()
  for (const { createRevision, keyText, lease, value } of entries) {
    const name = keyText.slice(prefix.length).split("/", 1)[0] as string
    const waiters = found.get(name) ?? []
    found.set(name, waiters)
    const owner = utf8Text(value.subarray(0, maxOwnerBytes))
    waiters.push({ owner, lease, revision: createRevision })
  }
  return {
    lines: [...found].map(([name, waiters]) => {
      // The key that was created first is the head.
      const [holder, ...waiting] = waiters.sort((a, b) => a.revision - b.revision)
      return { name: nameOf(name), holder: holder as Waiter, waiting }
    }),
    more: cursor !== undefined
  }
})

/** Another program may have written a key there whose name is not encoded. */
const nameOf = (encoded: string): string => {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
