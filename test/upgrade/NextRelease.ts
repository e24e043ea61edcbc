/** A release after this one, for tests: it knows one feature level more, and one command that older nodes cannot read. */
import { Effect, Layer } from "effect"
import { InvalidArgument } from "../../src/FlareDbError.ts"
import { tags } from "../../src/kv/model/Command.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import type { Feature } from "../../src/protocol/FeatureLevel.ts"
import { features, FeatureTable, highestLevel } from "../../src/protocol/FeatureLevel.ts"
import type { StateStore } from "../../src/storage/StateStore.ts"
import type { DataDirRefused, StorageError } from "../../src/storage/StorageError.ts"

const nextLevel = highestLevel(features).level + 1

/** What the next release knows. */
export const nextFeatures: ReadonlyArray<Feature> = [
  ...features,
  { level: nextLevel, release: "99.0.0", what: "checkpoints" }
]

/** Runs work as the next release: nodes that are started in it know its levels. */
export const asNextRelease = Effect.provideService(FeatureTable, nextFeatures)

const isNew = (command: Uint8Array): boolean => command[1] === tags.Checkpoint

/**
 * The key-value store, in which `Checkpoint` came with the next release: this one cannot read it, and the next one
 * proposes it only from its level on.
 */
export const storeWithNewCommand: Layer.Layer<StateMachine, StorageError | DataDirRefused, StateStore> = Layer.effect(
  StateMachine,
  Effect.gen(function*() {
    const machine = yield* StateMachine
    const knows = highestLevel(yield* FeatureTable).level >= nextLevel
    return StateMachine.of({
      ...machine,
      check: (command, origin, kept) =>
        knows || !isNew(command)
          ? machine.check(command, origin, kept)
          : new InvalidArgument({ field: "command", problem: `has the unknown tag ${tags.Checkpoint}` }),
      levelOf: (command) => isNew(command) ? nextLevel : 1
    })
  })
).pipe(Layer.provide(KvStateMachine.layer))
