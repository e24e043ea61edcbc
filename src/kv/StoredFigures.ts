/** The figures of the key-value store as its rows have them. */
import { Effect } from "effect"
import type { Figures } from "./model/Figures.ts"
import { decodeFigures } from "./model/Figures.ts"
import { figuresKey } from "./model/Keyspace.ts"
import type { StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { corrupt } from "../machine/KvLoader.ts"

/** The figures in the bytes of their row, which a store that nothing was written to does not have. */
export const readFigures = (bytes: Uint8Array | undefined): Effect.Effect<Figures, StorageError> => {
  const figures = decodeFigures(bytes)
  return figures === undefined ? Effect.fail(corrupt("the figures are cut short")) : Effect.succeed(figures)
}

/** The figures as a view has them. */
export const loadFigures = (view: StateView): Effect.Effect<Figures, StorageError> =>
  Effect.flatMap(view.getMany([figuresKey]), ([bytes]) => readFigures(bytes))
