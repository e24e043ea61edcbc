/** Actors: who runs them, and what waits. */
import { useState } from "preact/hooks"
import { ActorList, since } from "./ActorList.tsx"
import { Queues } from "./ActorQueues.tsx"
import { call } from "./Api.ts"
import { Act } from "./Confirm.tsx"
import { count, span } from "./Format.ts"
import { Heading } from "./Parts.tsx"

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
