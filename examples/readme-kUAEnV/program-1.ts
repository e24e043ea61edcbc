import { Effect, Stream } from "effect"
import { layer, localEndpoints, Watch } from "flaredb/client"

const program = Effect.gen(function*() {
  const watch = yield* Watch
  yield* Stream.runForEach(
    watch.changes({ prefix: "orders/" }),
    ({ revision, events }) => Effect.log(revision, events.map((event) => `${event._tag} ${event.keyText}`))
  )
})

Effect.runPromise(program.pipe(Effect.provide(layer({ endpoints: [{"host":"127.0.0.1","port":29981}] }))))
