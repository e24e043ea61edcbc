/** The cluster on one screen: whether it works, what to do if not, and how it has done for the last minutes. */
import { call } from "./Api.ts"
import { Chart } from "./Chart.tsx"
import type { Series } from "./Chart.tsx"
import { Act } from "./Confirm.tsx"
import { clock, count, milliseconds, rate, span } from "./Format.ts"
import { NodeCard } from "./NodeCard.tsx"
import { Heading, Problem } from "./Parts.tsx"
import { useSamples } from "./Samples.ts"
import { Timeline } from "./Timeline.tsx"
import type { NodeSample, Sample, Warning } from "./Types.ts"

/** The state of the cluster in a few words. */
export const stateOf = (
  { leader, nodes, voters, warnings }: Sample
): { readonly level: string; readonly text: string } => {
  const reached = nodes.filter(({ problem }) => problem === null).length
  const all = Math.max(voters.length, nodes.length)
  if (leader === null) return { level: "critical", text: `No leader: ${reached} of ${all} nodes answer` }
  if (reached < all) return { level: "critical", text: `Works with ${reached} of ${all} nodes, node ${leader} leads` }
  const noted = warnings.length === 0 ? "" : `, ${warnings.length} ${warnings.length === 1 ? "warning" : "warnings"}`
  return {
    level: noted === "" ? "fine" : "warning",
    text: `${all === 1 ? "The node works" : `All ${all} nodes work`}, node ${leader} leads${noted}`
  }
}

const Warnings = ({ warnings }: { readonly warnings: ReadonlyArray<Warning> }) =>
  warnings.length === 0 ? null : (
    <section aria-labelledby="warnings">
      <h2 id="warnings">What to look at</h2>
      <ul class="warnings">
        {warnings.map(({ id, level, next, what }) => (
          <li key={id} class={level}>
            <strong>{level === "critical" ? "Critical: " : "Warning: "}{what}</strong>
            <span>{next}</span>
          </li>
        ))}
      </ul>
    </section>
  )

const named = ({ endpoint, nodeId }: NodeSample): string => nodeId === null ? endpoint : `node ${nodeId}`

/** A line for each node, in the order of the nodes. */
const byNode = (
  samples: ReadonlyArray<Sample>,
  value: (node: NodeSample) => number | null | undefined
): ReadonlyArray<Series> => {
  const last = samples[samples.length - 1]
  return (last?.nodes ?? []).map((node, at) => ({
    name: named(node),
    colour: (at % 3) + 1,
    values: samples.map(({ nodes }) => {
      const found = nodes.find(({ endpoint }) => endpoint === node.endpoint)
      return (found === undefined ? null : value(found)) ?? null
    })
  }))
}

const commitTimes = (samples: ReadonlyArray<Sample>, of: "p50Ms" | "p99Ms") =>
  samples.map(({ leader, nodes }) => nodes.find(({ nodeId }) => nodeId === leader)?.commitLatency?.[of] ?? null)

const Charts = ({ samples }: { readonly samples: ReadonlyArray<Sample> }) => {
  const atMs = samples.map((sample) => sample.atMs)
  return (
    <section aria-labelledby="charts">
      <h2 id="charts">The last minutes</h2>
      <div class="charts">
        <Chart
          title="Writes"
          unit="commands a second"
          atMs={atMs}
          shown={rate}
          series={[{ name: "cluster", colour: 4, values: samples.map((sample) => sample.writesPerSecond) }]}
        />
        <Chart
          title="Commit"
          unit="time at the leader"
          atMs={atMs}
          shown={milliseconds}
          series={[
            { name: "median", colour: 5, values: commitTimes(samples, "p50Ms"), dashed: true },
            { name: "99th percentile", colour: 4, values: commitTimes(samples, "p99Ms") }
          ]}
        />
        <Chart
          title="Sync"
          unit="99th percentile of each disk"
          atMs={atMs}
          shown={milliseconds}
          series={byNode(samples, ({ syncLatency }) => syncLatency?.p99Ms)}
        />
        <Chart
          title="Lag"
          unit="entries behind the leader"
          atMs={atMs}
          shown={count}
          whole
          series={byNode(samples, ({ lag }) => lag)}
        />
      </div>
    </section>
  )
}

/** A follower that can be asked to lead. */
const TransferTo = ({ node }: { readonly node: NodeSample }) =>
  node.nodeId === null || node.role !== "follower" || node.membership !== "voter" ? null : (
    <Act
      label="Make leader"
      about={`node ${node.nodeId}`}
      question={<p>Writes pause for about a round trip. Nothing is lost.</p>}
      verb="Make leader"
      act={() => call("transferLeader", { target: node.nodeId })}
    />
  )

export const Overview = () => {
  const { problem, samples } = useSamples()
  const last = samples[samples.length - 1]
  if (last === undefined) {
    return (
      <>
        <Heading>Overview</Heading>
        <Problem text={problem} />
        {problem === undefined ? <p class="quiet" aria-busy="true">Asking the nodes…</p> : null}
      </>
    )
  }
  const state = stateOf(last)
  return (
    <>
      <Heading>{last.clusterId ?? "Overview"}</Heading>
      <p class={`state ${state.level}`} role="status">{state.text}</p>
      {problem === undefined ? null : <Problem text={`${problem}. What is shown is of ${clock(last.atMs)}.`} />}
      <Warnings warnings={last.warnings} />
      <section aria-labelledby="nodes">
        <h2 id="nodes">Nodes</h2>
        <div class="cards">
          {last.nodes.map((node, at) => (
            <NodeCard key={node.endpoint} node={node} nowMs={last.atMs} colour={(at % 3) + 1}>
              <TransferTo node={node} />
            </NodeCard>
          ))}
        </div>
      </section>
      <Charts samples={samples} />
      <Timeline changes={last.leaderChanges} leader={last.leader} nowMs={last.atMs} nodes={last.nodes} />
      <p class="quiet">
        Term {count(last.term)}
        {last.leader === null
          ? ", no node leads"
          : last.leaderChanges.length === 0
          ? ""
          : `, led by node ${last.leader} for ${
            span(last.atMs - (last.leaderChanges[last.leaderChanges.length - 1]?.atMs ?? last.atMs))
          }`}. Read once a second, or every two while the nodes are busy, for as long as this page is looked at.
      </p>
    </>
  )
}
