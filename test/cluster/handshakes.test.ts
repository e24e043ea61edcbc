/** The short variant of `npm run chaos:handshakes`: what it demands that does not depend on the speed of the machine. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { portKinds } from "../chaos/handshakes/Strangers.ts"
import { judge, run } from "../chaos/handshakes/Run.ts"
import { clientPortConnections } from "../../src/config/Limits.ts"
import { figure } from "./Figures.ts"

const talking = { client: 400, peer: 100, http: 100 }
const maxClientConnections = 16
const processes = 2
/** Each process alone opens more at every client port than that has room for, so that the oldest silent ones give way. */
const silent = { client: 3 * processes * (clientPortConnections(maxClientConnections) + 4), peer: 10, http: 10 }

it.live("writes while strangers begin no handshake at any port, and gets rid of them all", () =>
  Effect.gen(function*() {
    const outcome = yield* run({
      talking,
      silent,
      perSecond: 200,
      maxOpen: 40,
      processes,
      settings: {
        FLAREDB_MAX_CLIENT_CONNECTIONS: String(maxClientConnections),
        FLAREDB_MAX_HANDSHAKE_MS: "5000"
      },
      rehearsal: undefined,
      heatWrites: 0,
      calmMs: 500,
      restMs: 0,
      note: figure
    })
    assert.deepStrictEqual(judge(outcome), [])
    assert.deepStrictEqual(outcome.strangers, { talkingEnded: talking, silentEnded: silent, unmade: 0 })
    for (const kind of portKinds) {
      // Those that gave way for others before their bytes were read are not counted.
      assert.isAbove(outcome.refused.get(`${kind} plain`) ?? 0, 0)
      assert.isAbove(outcome.refused.get(`${kind} handshake`) ?? 0, 0)
    }
    assert.match(outcome.logLines.flat().join("\n"), /closed a silent connection for a new one/)
    figure(
      JSON.stringify([[...outcome.refused], outcome.descriptors, outcome.logLines.map(({ length }) => length)])
    )
  }))
