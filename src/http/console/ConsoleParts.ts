/**
 * Parts of the console that the node does not know of itself: a program that runs something on its store in the same
 * process adds one, as to `StatusSections`. So the node depends on nothing that is built on it.
 */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { ClientServices } from "../../client/RemoteClient.ts"
import type { Failure } from "./ConsoleCalls.ts"

/** What a program adds to the console: its name, and the calls of the page that it answers. */
export interface ConsolePart {
  readonly name: string
  /** Answers a call of the page, with the client of its caller. `undefined` for a call that it does not know. */
  readonly call: (
    name: string,
    payload: unknown
  ) => Effect.Effect<unknown, Failure, ClientServices> | undefined
}

/**
 * The parts of a node's console that programs have added.
 *
 * **When to use**
 *
 * In a program that embeds a node and runs something on its store, to show and to act on that in the console: `add` a
 * part. `flaredb/actors` does so.
 *
 * **Details**
 *
 * A part answers calls of the page with the client of their caller, so that the caller's roles hold.
 */
export class ConsoleParts extends Context.Service<ConsoleParts, {
  /** Adds a part for as long as the scope lives. One of the same name is replaced until then. */
  readonly add: (part: ConsolePart) => Effect.Effect<void, never, Scope.Scope>
  readonly names: () => ReadonlyArray<string>
  readonly find: (name: string) => ConsolePart | undefined
}>()("flaredb/http/ConsoleParts") {
  static readonly layer: Layer.Layer<ConsoleParts> = Layer.sync(ConsoleParts, () => {
    const parts = new Map<string, ConsolePart>()
    return ConsoleParts.of({
      add: (part) =>
        Effect.acquireRelease(
          Effect.sync(() => void parts.set(part.name, part)),
          () =>
            Effect.sync(() => {
              if (parts.get(part.name) === part) parts.delete(part.name)
            })
        ),
      names: () => [...parts.keys()].sort(),
      find: (name) => parts.get(name)
    })
  })
}
