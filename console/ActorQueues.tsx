/** Queues of actors, and their dead letters with the ways to help. */
import { useState } from "preact/hooks"
import { ActorList, since } from "./ActorList.tsx"
import { call } from "./Api.ts"
import { Act } from "./Confirm.tsx"
import { count, dateTime } from "./Format.ts"

interface Queue {
  readonly name: string
  readonly waiting: number
  readonly delayed: number
  readonly claimed: number
  readonly abandoned: number
  readonly consumers: number
  readonly failed: number
  readonly oldestMs?: number
}

interface Letter {
  readonly id: string
  readonly failedMs: number
  readonly attempts: number
  readonly reason: string
  readonly element: string
}

/** A dead letter is changed as it was seen; another one may have done so before. */
const changeLetter = async (verb: string, queue: string, id: string) => {
  const { done } = await call<{ readonly done: boolean }>(`actors/${verb}`, { queue, id })
  if (!done) throw new Error("another one has changed it meanwhile; nothing was changed here")
}

const LetterActs = ({ again, letter: { id }, queue }: {
  readonly again: () => void
  readonly letter: Letter
  readonly queue: string
}) => (
  <div class="buttons">
    <Act
      label="Retry"
      about={id}
      verb="Retry"
      onDone={again}
      question={
        <p>
          It goes back into the queue with all its attempts, and consumers may take it at once.
        </p>
      }
      act={() => changeLetter("retry", queue, id)}
    />
    <Act
      label="Drop"
      about={id}
      verb="Drop"
      danger
      onDone={again}
      question={
        <p>
          It is removed for good, and its id may be offered again.
        </p>
      }
      act={() => changeLetter("drop", queue, id)}
    />
  </div>
)

const DeadLetters = ({ queue }: { readonly queue: string }) => {
  const [turn, setTurn] = useState(0)
  return (
    <section aria-labelledby="letters">
      <h2 id="letters">Dead letters of {queue}</h2>
      <div class="buttons">
        <Act
          label="Retry"
          about={`all dead letters of ${queue}`}
          verb="Retry all"
          question={
            <p>
              All that there are now go back into the queue.
            </p>
          }
          act={() => call("actors/retryAll", { queue })}
          onDone={() => setTurn(turn + 1)}
        />
        <Act
          label="Drop"
          about={`all dead letters of ${queue}`}
          verb="Drop all"
          danger
          question={
            <p>
              All that there are now are removed for good.
            </p>
          }
          act={() => call("actors/dropAll", { queue })}
          onDone={() => setTurn(turn + 1)}
        />
      </div>
      <ActorList<Letter>
        key={turn}
        of="deadLetters"
        payload={{ queue }}
        caption={`Dead letters of ${queue}`}
        empty="There are none."
        id={({ id }) => id}
        columns={(again) => [
          { name: "Id", cell: ({ id }) => id },
          { name: "Failed", cell: ({ failedMs }) => dateTime(failedMs) },
          { name: "Attempts", figure: true, cell: ({ attempts }) => count(attempts) },
          {
            name: "Reason",
            cell: ({ element, reason }) => (
              <details>
                <summary>{reason.split("\n", 1)[0]}</summary>
                <pre class="value" tabIndex={0} aria-label="Reason">{reason}</pre>
                <pre class="value" tabIndex={0} aria-label="Element">{element}</pre>
              </details>
            )
          },
          { name: "Act", cell: (letter) => <LetterActs again={again} letter={letter} queue={queue} /> }
        ]}
      />
    </section>
  )
}

export const Queues = () => {
  const [open, setOpen] = useState<string>()
  return (
    <>
      <h2>Queues</h2>
      <ActorList<Queue>
        of="queues"
        caption="Queues"
        empty="No queue holds anything."
        id={({ name }) => name}
        columns={() => [
          { name: "Queue", cell: ({ name }) => name },
          { name: "Waiting", figure: true, cell: ({ waiting }) => count(waiting) },
          { name: "Delayed", figure: true, cell: ({ delayed }) => count(delayed) },
          { name: "Claimed", figure: true, cell: ({ claimed }) => count(claimed) },
          { name: "Abandoned", figure: true, cell: ({ abandoned }) => count(abandoned) },
          { name: "Consumers", figure: true, cell: ({ consumers }) => count(consumers) },
          { name: "Oldest", figure: true, cell: ({ oldestMs }) => since(oldestMs) },
          {
            name: "Dead letters",
            figure: true,
            cell: ({ failed, name }) =>
              failed === 0 ?
                "0" :
                (
                  <button
                    type="button"
                    aria-label={`${count(failed)} dead letters of ${name}`}
                    onClick={() => setOpen(name)}
                  >
                    {count(failed)}
                  </button>
                )
          }
        ]}
      />
      {open === undefined ? null : <DeadLetters key={open} queue={open} />}
    </>
  )
}
