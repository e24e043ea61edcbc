/** Leases with what is attached to them, and the locks and elections that are made of them. */
import { useState } from "preact/hooks"
import { call } from "./Api.ts"
import { fromBase64, shownKey } from "./Bytes.ts"
import { Act } from "./Confirm.tsx"
import { count, span } from "./Format.ts"
import { Heading, Problem, Table } from "./Parts.tsx"
import { keysLink } from "./Route.ts"
import { useCall } from "./useCall.ts"

const everyMs = 2_000

interface Lease {
  readonly id: number
  readonly ttlMs: number
  readonly remainingMs: number
  readonly keys: number
  readonly caller: string
}

interface Waiter {
  readonly owner: string
  readonly lease: number
  readonly revision: number
}

interface Line {
  readonly name: string
  readonly holder: Waiter
  readonly waiting: ReadonlyArray<Waiter>
}

const LeaseKeys = ({ id }: { readonly id: number }) => {
  const { answer, problem } = useCall<{ readonly keys: ReadonlyArray<string> }>("lease", { id })
  return (
    <>
      <Problem text={problem} />
      <ul>
        {(answer?.keys ?? []).map((key) => (
          <li key={key}>
            <a href={keysLink(new Uint8Array(), fromBase64(key))}>{shownKey(fromBase64(key))}</a>
          </li>
        ))}
      </ul>
    </>
  )
}

const KeysOf = ({ lease }: { readonly lease: Lease }) => {
  const [open, setOpen] = useState(false)
  if (lease.keys === 0) return <>0</>
  return (
    <>
      <button
        type="button"
        aria-expanded={open}
        aria-label={`${count(lease.keys)} keys of lease ${lease.id}`}
        onClick={() => setOpen(!open)}
      >
        {count(lease.keys)}
      </button>
      {open ? <LeaseKeys id={lease.id} /> : null}
    </>
  )
}

const LineTable = ({ call: name, caption, empty }: {
  readonly call: string
  readonly caption: string
  readonly empty: string
}) => {
  const { answer, problem } = useCall<{ readonly lines: ReadonlyArray<Line>; readonly more: boolean }>(
    name,
    {},
    everyMs
  )
  return (
    <>
      <Problem text={problem} />
      <Table
        caption={caption}
        rows={problem !== undefined && answer === undefined ? [] : answer?.lines}
        id={(line) => line.name}
        empty={empty}
        more={answer?.more}
        columns={[
          { name: "Name", cell: (line) => line.name },
          { name: "Holder", cell: (line) => line.holder.owner === "" ? "unnamed" : line.holder.owner },
          { name: "Waiting", figure: true, cell: (line) => count(line.waiting.length) },
          { name: "Fencing revision", figure: true, cell: (line) => count(line.holder.revision) },
          { name: "Lease", figure: true, cell: (line) => line.holder.lease }
        ]}
      />
    </>
  )
}

export const LeasesPage = () => {
  const { again, answer, problem } = useCall<{ readonly leases: ReadonlyArray<Lease>; readonly left: number }>(
    "leases",
    {},
    everyMs
  )
  return (
    <>
      <Heading>Leases and locks</Heading>
      <section aria-labelledby="locks">
        <h2 id="locks">Locks</h2>
        <LineTable call="locks" caption="Locks" empty="No lock is held." />
      </section>
      <section aria-labelledby="elections">
        <h2 id="elections">Elections</h2>
        <LineTable call="elections" caption="Elections" empty="No election has a leader." />
      </section>
      <section aria-labelledby="leases">
        <h2 id="leases">Leases</h2>
        <Problem text={problem} />
        <Table
          caption="Leases"
          rows={problem !== undefined && answer === undefined ? [] : answer?.leases}
          id={({ id }) => String(id)}
          empty="There are no leases."
          more={(answer?.left ?? 0) > 0}
          columns={[
            { name: "Lease", cell: ({ id }) => id },
            { name: "Owner", cell: ({ caller }) => caller === "" ? "–" : caller },
            { name: "Ends in", figure: true, cell: ({ remainingMs }) => span(remainingMs) },
            { name: "Time to live", figure: true, cell: ({ ttlMs }) => span(ttlMs) },
            { name: "Keys", figure: true, cell: (lease) => <KeysOf lease={lease} /> },
            {
              name: "Act",
              cell: ({ id, keys }) => (
                <Act
                  label="Revoke"
                  about={`lease ${id}`}
                  verb="Revoke"
                  danger
                  onDone={again}
                  question={
                    <p>
                      The lease ends, and {keys === 1 ? "1 key is" : `${count(keys)} keys are`}{" "}
                      deleted with it. A lock that is held by it goes to the next one.
                    </p>
                  }
                  act={() => call("revoke", { id })}
                />
              )
            }
          ]}
        />
      </section>
    </>
  )
}
