/** One payload for each call of the client port, for tests that walk all of them. */
import type { RpcGroup } from "effect/rpc"
import { singleKey } from "../../src/bytes/KeyRange.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { encodeRanges, KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import { encodeBatch } from "../../src/protocol/Batch.ts"
import { clientProtocolVersion, ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { StateRpcs } from "../../src/protocol/StateRpcs.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** One payload for each call of a group. A call that is added needs one here. */
export type Payloads<Group> = { readonly [Tag in RpcGroup.Rpcs<Group>["_tag"]]: unknown }

/** All calls of the port. */
export const ClientPort = ClientRpcs.merge(StateRpcs)

export const toClients: Payloads<typeof ClientPort> = {
  "client.Hello": { protocolVersion: clientProtocolVersion },
  "client.Write": { commands: encodeBatch([encodeCommand({ _tag: "Delete", key: bytes("a") })]) },
  "client.Read": {
    consistency: "linearizable",
    from: "any",
    queries: encodeBatch([encodeQuery({ _tag: "Get", key: bytes("a") })])
  },
  "client.Watch": {
    ranges: encodeRanges(KeyRanges.of(singleKey(bytes("a")))),
    from: null,
    previous: false,
    only: null
  },
  "client.Changes": { watch: 1, from: 1, waitMs: 0 },
  "client.WatchProgress": { watch: 1 },
  "client.EndWatch": { watch: 1 },
  "client.Status": undefined,
  "client.Vitals": undefined,
  "client.TransferLeader": { target: null },
  "state.Backup": undefined,
  "state.HashState": { marker: bytes("marker") }
}
