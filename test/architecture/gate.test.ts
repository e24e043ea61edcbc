/** Calls come in at one place: a second RPC server would have no gate before it. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "vitest"

const source = join(import.meta.dirname, "../../src")

/** Effect's own server of runners, which calls of a FlareDB client or peer never reach. */
const runners = "actors/cluster/Transports.ts"

it("only net/TcpServer.ts builds an RPC server of a node, and it has a gate", () => {
  const builders = readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .filter((name) => /RpcServer\.(layer|make|toHttp|toHttpEffect)/.test(readFileSync(join(source, name), "utf8")))
  assert.sameMembers(builders, ["net/TcpServer.ts", runners])
  assert.match(readFileSync(join(source, "net/TcpServer.ts"), "utf8"), /^ {2}readonly gate: Gate<Rpcs>$/m)
})
