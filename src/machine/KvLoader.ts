/** Runs the computations of `kv/`, which ask for rows, on a {@link StateView}. */
import { Effect } from "effect"
import type { Load, Loading, StoredRow } from "../kv/model/Loading.ts"
import { CorruptRow } from "../kv/model/Loading.ts"
import type { StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { StorageCorruption } from "../storage/StorageError.ts"

/** What a damaged row of the state means to the operator. */
export const corrupt = (detail: string): StorageCorruption =>
  new StorageCorruption({ path: "the state family", detail, safe: "the log, and the state of the other nodes" })

const load = (view: StateView, request: Load): Effect.Effect<ReadonlyArray<StoredRow>, StorageError> => {
  switch (request._tag) {
    case "LoadKeys":
      return Effect.map(view.getMany(request.keys), (values) => {
        const rows: Array<StoredRow> = []
        for (let i = 0; i < request.keys.length; i++) {
          const value = values[i]
          if (value !== undefined) rows.push({ key: request.keys[i] as Uint8Array, value })
        }
        return rows
      })
    case "LoadRange":
      return view.scan({
        ...request.range,
        limit: request.limit,
        maxBytes: request.maxBytes,
        reverse: request.reverse
      })
  }
}

/** Runs a computation to its end. */
export const runLoading = <A>(view: StateView, loading: Loading<A>): Effect.Effect<A, StorageError> => {
  const resume = (rows: ReadonlyArray<StoredRow>): Effect.Effect<A, StorageError> => {
    let step: IteratorResult<Load, A>
    try {
      step = loading.next(rows)
    } catch (error) {
      if (error instanceof CorruptRow) return Effect.fail(corrupt(error.message))
      throw error
    }
    return step.done === true ? Effect.succeed(step.value) : Effect.flatMap(load(view, step.value), resume)
  }
  return Effect.suspend(() => resume([]))
}
