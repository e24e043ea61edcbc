/** What a machine of namespaces has is its own, whatever happens to folders of the system meanwhile. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { make, whyNot } from "./Machines.ts"

const skipped = whyNot()
if (skipped !== undefined) console.warn(`machines.test.ts is skipped: ${skipped}`)

const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("flaredb-machines-"))

it.live.skipIf(skipped !== undefined)(
  "machines keep their files when temporary folders are tidied up",
  () =>
    Effect.gen(function*() {
      const before = new Set(folders())
      const [one, other] = yield* make(["10.0.0.1", "10.0.0.2"])
      assert.isDefined(one)
      assert.isDefined(other)
      const written = yield* one.run(
        "mkdir certs && echo authority > certs/ca.crt && scp -r certs root@10.0.0.2:/root/got"
      )
      assert.strictEqual(written.code, 0, written.printed)
      // Another test of machines may have begun meanwhile: its folder is left alone.
      const own = folders().filter((name) => !before.has(name) && readdirSync(join(tmpdir(), name)).includes("homes"))
      for (const name of own) rmSync(join(tmpdir(), name, "homes"), { recursive: true, force: true })
      assert.deepStrictEqual(yield* one.run("cat certs/ca.crt"), { code: 0, printed: "authority\n" })
      assert.deepStrictEqual(yield* other.run("cat got/ca.crt"), { code: 0, printed: "authority\n" })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
)
