/** Who led when: a strip, and the same as a list, the latest first. */
import { ago, dateTime } from "./Format.ts"
import type { LeaderChange, NodeSample } from "./Types.ts"

/** What the strip shows, in milliseconds. */
const shownMs = 3_600_000

/** Changes in the list. */
const maxListed = 8

interface TimelineProps {
  readonly changes: ReadonlyArray<LeaderChange>
  /** Who leads now, if one does. */
  readonly leader: number | null
  readonly nowMs: number
  readonly nodes: ReadonlyArray<NodeSample>
}

const colourOf = (nodes: ReadonlyArray<NodeSample>, leader: number): number => {
  const at = nodes.findIndex(({ nodeId }) => nodeId === leader)
  return at < 0 ? 6 : (at % 3) + 1
}

const Strip = ({ changes, leader: leads, nodes, nowMs }: TimelineProps) => {
  const first = changes[0]?.atMs ?? nowMs
  const fromMs = Math.max(nowMs - shownMs, Math.min(first, nowMs - 60_000))
  const x = (ms: number): number => 1_000 * Math.max(0, Math.min(1, (ms - fromMs) / (nowMs - fromMs)))
  return (
    <>
      <svg class="strip" viewBox="0 0 1000 24" preserveAspectRatio="none" aria-hidden="true">
        {changes.map(({ atMs, leader, term }, at) => {
          const end = changes[at + 1]?.atMs ?? nowMs
          // How long the last one led is not known once it does not: it is shown pale.
          const over = leads === null && at === changes.length - 1
          return end <= fromMs
            ? null
            : (
              <rect
                key={term}
                class={`series-${colourOf(nodes, leader)}${over ? " over" : ""}`}
                x={x(atMs)}
                y="0"
                height="24"
                width={Math.max(3, x(end) - x(atMs) - 2)}
              />
            )
        })}
      </svg>
      <p class="quiet ends">
        <span>{ago(nowMs, fromMs)}</span>
        <span>now</span>
      </p>
    </>
  )
}

export const Timeline = ({ changes, leader: leads, nodes, nowMs }: TimelineProps) => (
  <section aria-labelledby="leaders">
    <h2 id="leaders">Leader changes</h2>
    {changes.length === 0
      ? <p class="quiet">None since the nodes were started.</p>
      : (
        <>
          <Strip changes={changes} leader={leads} nodes={nodes} nowMs={nowMs} />
          <ol class="leaders">
            {leads === null ? <li class="series-6">No node leads now.</li> : null}
            {changes.slice(-maxListed).toReversed().map(({ atMs, leader, term }) => (
              <li key={term} class={`series-${colourOf(nodes, leader)}`}>
                <strong>Node {leader}</strong> led from {dateTime(atMs)} on, term {term}{" "}
                <span class="quiet">({ago(nowMs, atMs)})</span>
              </li>
            ))}
          </ol>
        </>
      )}
  </section>
)
