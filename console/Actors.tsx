/** Actors: who runs them, what waits, what failed for good, and the ways to help. */
import { useState } from "preact/hooks"
import { call } from "./Api.ts"
import { Act } from "./Confirm.tsx"
import { ago, count, moment, span } from "./Format.ts"
import { Heading, Problem, Table } from "./Parts.tsx"
import type { Column } from "./Parts.tsx"
import { useCall } from "./useCall.ts"

const everyMs = 3_000

interface List<Row extends object> {
  readonly rows: ReadonlyArray<Row>
  readonly more: boolean
}

interface ListProps<Row extends object> {
  readonly of: string
  readonly payload?: object
  readonly caption: string
  readonly empty: string
  readonly id: (row: Row) => string
  readonly columns: (again: () => void) => ReadonlyArray<Column<Row>>
}

const ActorList = <Row extends object>({ caption, columns, empty, id, of, payload = {} }: ListProps<Row>) => {
  const { again, answer, problem } = useCall<List<Row>>(`actors/${of}`, payload, everyMs)
  return (
    <>
      <Problem text={problem} />
      <Table
        caption={caption}
        empty={empty}
        id={id}
        columns={columns(again)}
        more={answer?.more}
        rows={problem !== undefined && answer === undefined ? [] : answer?.rows}
      />
    </>
  )
}

const since = (ms: number | null | undefined): string => ms === null || ms === undefined ? "–" : ago(Date.now(), ms)

interface Runner {
  readonly address: string
  readonly registered: boolean
  readonly healthy: boolean
  readonly groups: ReadonlyArray<string>
  readonly shards: number
  readonly refreshedAgoMs?: number
  readonly endsInMs?: number
}

interface Shard {
  readonly shard: string
  readonly owner?: string
  readonly messages: number
  readonly atLeast: boolean
  readonly oldestMs?: number
}

const Runners = () => (
  <>
    <h2>Runners</h2>
    <ActorList<Runner>
      of="runners"
      caption="Runners"
      empty="No runner is registered."
      id={({ address }) => address}
      columns={() => [
        { name: "Runner", cell: ({ address }) => address },
        {
          name: "State",
          cell: ({ healthy, registered }) => registered ? healthy ? "healthy" : "unhealthy" : "gone"
        },
        { name: "Shards", figure: true, cell: ({ shards }) => count(shards) },
        { name: "Groups", cell: ({ groups }) => groups.join(", ") || "–" },
        {
          name: "Seen",
          figure: true,
          cell: ({ refreshedAgoMs }) => refreshedAgoMs === undefined ? "–" : `${span(refreshedAgoMs)} ago`
        },
        { name: "Ends in", figure: true, cell: ({ endsInMs }) => endsInMs === undefined ? "–" : span(endsInMs) }
      ]}
    />
    <h2>Shards</h2>
    <ActorList<Shard>
      of="shards"
      caption="Shards"
      empty="No shard has an owner or messages."
      id={({ shard }) => shard}
      columns={() => [
        { name: "Shard", cell: ({ shard }) => shard },
        { name: "Owner", cell: ({ owner }) => owner ?? "none" },
        {
          name: "Messages",
          figure: true,
          cell: ({ atLeast, messages }) => `${count(messages)}${atLeast ? "+" : ""}`
        },
        { name: "Oldest", figure: true, cell: ({ oldestMs }) => since(oldestMs) }
      ]}
    />
  </>
)

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
          { name: "Failed", cell: ({ failedMs }) => moment(failedMs) },
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

const Queues = () => {
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

interface Workflow {
  readonly name: string
  readonly execution: string
  readonly state: string
  readonly interrupting: boolean
  readonly startedMs: number
  readonly wakesMs?: number
  readonly activities: number
  readonly reason?: string
}

const Workflows = () => (
  <>
    <h2>Workflows</h2>
    <ActorList<Workflow>
      of="workflows"
      caption="Executions of workflows"
      empty="No execution is kept."
      id={({ execution, name }) => `${name} ${execution}`}
      columns={(again) => [
        { name: "Workflow", cell: ({ name }) => name },
        { name: "Execution", cell: ({ execution }) => execution },
        { name: "State", cell: ({ interrupting, state }) => interrupting ? `${state}, interrupting` : state },
        { name: "Started", figure: true, cell: ({ startedMs }) => since(startedMs) },
        { name: "Activities", figure: true, cell: ({ activities }) => count(activities) },
        { name: "Reason", cell: ({ reason }) => reason?.split("\n", 1)[0] ?? "–" },
        {
          name: "Act",
          cell: ({ execution, name, state }) =>
            ["succeeded", "failed", "interrupted"].includes(state) ?
              null :
              (
                <Act
                  label="Interrupt"
                  about={`${name} ${execution}`}
                  verb="Interrupt"
                  danger
                  onDone={again}
                  question={<p>It ends as soon as its runner reads this, and its compensations run.</p>}
                  act={() => call("actors/interruptWorkflow", { name, execution })}
                />
              )
        }
      ]}
    />
  </>
)

interface Entity {
  readonly type: string
  readonly id: string
  readonly shard: string
  readonly owner?: string
  readonly waiting: number
  readonly delayed: number
  readonly oldestMs?: number
}

interface Message {
  readonly id: string
  readonly tag?: string
  readonly state: string
  readonly interrupted: boolean
  readonly sentMs: number
}

const Messages = ({ entity: { id, type } }: { readonly entity: Entity }) => (
  <section aria-labelledby="messages">
    <h2 id="messages">Messages of {type} {id}</h2>
    <Act
      label="Forget"
      about={`all messages of ${type} ${id}`}
      verb="Forget them"
      danger
      question={
        <p>
          All messages of the entity are forgotten, with their replies and primary keys: who sends such a message again
          has it handled again.
        </p>
      }
      act={() => call("actors/clear", { type, id })}
    />
    <ActorList<Message>
      of="messages"
      payload={{ type, id }}
      caption={`Messages of ${type} ${id}`}
      empty="None waits."
      id={(message) => message.id}
      columns={(again) => [
        { name: "Message", cell: (message) => message.id },
        { name: "RPC", cell: ({ tag }) => tag ?? "unreadable" },
        { name: "State", cell: ({ interrupted, state }) => interrupted ? `${state}, interrupting` : state },
        { name: "Sent", figure: true, cell: ({ sentMs }) => since(sentMs) },
        {
          name: "Act",
          cell: (message) => (
            <Act
              label="Interrupt"
              about={`message ${message.id}`}
              verb="Interrupt"
              danger
              onDone={again}
              question={<p>It ends as soon as its runner reads this. A delayed one ends when it is due.</p>}
              act={() => call("actors/interruptMessage", { id: message.id })}
            />
          )
        }
      ]}
    />
  </section>
)

const Entities = () => {
  const [open, setOpen] = useState<Entity>()
  return (
    <>
      <h2>Entities that wait</h2>
      <ActorList<Entity>
        of="entities"
        caption="Entities with messages that wait"
        empty="No message waits."
        id={({ id, type }) => `${type} ${id}`}
        columns={() => [
          { name: "Type", cell: ({ type }) => type },
          {
            name: "Entity",
            cell: (entity) => (
              <button
                type="button"
                aria-label={`Messages of ${entity.type} ${entity.id}`}
                onClick={() => setOpen(entity)}
              >
                {entity.id}
              </button>
            )
          },
          { name: "Shard", cell: ({ shard }) => shard },
          { name: "Owner", cell: ({ owner }) => owner ?? "none" },
          { name: "Waiting", figure: true, cell: ({ waiting }) => count(waiting) },
          { name: "Delayed", figure: true, cell: ({ delayed }) => count(delayed) },
          { name: "Oldest", figure: true, cell: ({ oldestMs }) => since(oldestMs) }
        ]}
      />
      {open === undefined ? null : <Messages key={`${open.type} ${open.id}`} entity={open} />}
    </>
  )
}

const tabs = [
  { tab: "", name: "Runners and shards", View: Runners },
  { tab: "queues", name: "Queues", View: Queues },
  { tab: "workflows", name: "Workflows", View: Workflows },
  { tab: "entities", name: "Entities", View: Entities }
] as const

export const ActorsPage = ({ tab }: { readonly tab: string }) => {
  const { View } = tabs.find((one) => one.tab === tab) ?? tabs[0]
  return (
    <>
      <Heading>Actors</Heading>
      <nav aria-label="Actors" class="tabs">
        <ul>
          {tabs.map((one) => (
            <li key={one.tab}>
              <a
                href={`#/actors${one.tab === "" ? "" : `/${one.tab}`}`}
                aria-current={one.tab === tab ? "page" : undefined}
              >
                {one.name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <View />
    </>
  )
}
