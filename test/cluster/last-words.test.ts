/** What a process says last is kept, however soon behind it the process ends. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "./Cluster.ts"

/** Says that it is ready and, when its time comes, as much at once as takes a while to be read. */
const program = (when: string) =>
  `const text = Array.from({ length: 50_000 }, (_, line) => "line " + line + "\\n").join("")
  const end = () => { require("node:fs").writeSync(2, text); process.exit(3) }
  ${when}; console.log("READY"); setInterval(() => undefined, 1000)`

it.live.each(
  [
    ["by itself", "setTimeout(end, 50)", (node: Cluster.ClusterNode) => node.ended],
    ["when it is stopped", "process.on('SIGTERM', end)", (node: Cluster.ClusterNode) => node.stop("SIGTERM")]
  ] as const
)("of a node that ends %s", ([, when, end]) =>
  Effect.gen(function*() {
    const { nodes: [node] } = yield* Cluster.make(1, ["-e", program(when)])
    if (node === undefined) throw new Error("a cluster of one has a node")
    for (let i = 0; i < 3; i++) {
      yield* node.start
      assert.strictEqual(yield* end(node), 3)
      assert.strictEqual(node.log.at(-1), "line 49999")
      node.kept.clear()
    }
  }).pipe(Effect.provide(NodeServices.layer)))
