/** The file of the durable floor on a simulated disk: its new name is seen before it is durable. */
import { Effect } from "effect"
import type { FloorFile } from "../../../src/storage/DurableFloor.ts"
import { StorageIoError } from "../../../src/storage/StorageError.ts"
import type { SimProcess } from "../engine/SimProcess.ts"
import type { NodeWorld } from "./NodeWorld.ts"
import type { SimNode } from "./SimNode.ts"

export const simFloorFile = (node: SimNode, world: NodeWorld, process: SimProcess): FloorFile => {
  const { storage } = node
  const health = world.health(node.id)
  return {
    read: () => storage.floor,
    replace: (directory, bytes) =>
      Effect.uninterruptible(Effect.callback<void, StorageIoError>((resume) => {
        process.later(health.syncMs() / 2, () => {
          const failure = health.failure("floor")
          if (failure !== undefined) {
            const cause = new Error(failure)
            return resume(
              Effect.fail(new StorageIoError({ operation: "write the durable floor", path: directory, cause }))
            )
          }
          storage.renameFloor(bytes)
          world.watcher.log?.(node, `the floor is ${Buffer.from(bytes).toString("utf8", 4)}`)
          process.later(health.syncMs() / 2, () => {
            storage.syncFloor()
            resume(Effect.void)
          })
        })
      }))
  }
}
