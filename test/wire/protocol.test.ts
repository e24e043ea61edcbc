/**
 * What nodes and clients say to each other is a contract with processes of other versions. `npm run golden` rewrites the
 * files; a change of them belongs into the changelog, and an incompatible one raises the protocol's version.
 */
import { assert, it } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { clientProtocolVersion, ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { StateRpcs } from "../../src/protocol/StateRpcs.ts"
import { PeerRpcs, protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { renderGroup } from "./renderGroup.ts"

const protocols = [
  ["client", renderGroup(ClientRpcs, clientProtocolVersion)],
  ["state", renderGroup(StateRpcs, clientProtocolVersion)],
  ["peer", renderGroup(PeerRpcs, protocolVersion)]
] as const

for (const [name, rendered] of protocols) {
  it(`the ${name} protocol is the one that is written down`, () => {
    const golden = new URL(`./${name}.golden.json`, import.meta.url)
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, rendered)
    assert.isTrue(existsSync(golden), "npm run golden writes it")
    assert.strictEqual(rendered, readFileSync(golden, "utf8"))
    assert.include(rendered, `"${name}.`)
  })
}
