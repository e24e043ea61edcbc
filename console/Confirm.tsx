/** An act with a question before it. Nothing is changed by one press of a button. */
import type { ComponentChildren } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { Problem } from "./Parts.tsx"

export interface ActProps {
  /** What the button says, and what names it for those who do not see what it stands beside. */
  readonly label: string
  readonly about: string
  readonly question: ComponentChildren
  /** What the button that does it says. */
  readonly verb: string
  readonly act: () => Promise<unknown>
  readonly onDone?: () => void
  readonly danger?: boolean
}

export const Act = ({ about, act, danger, label, onDone, question, verb }: ActProps) => {
  const [open, setOpen] = useState(false)
  return (
    <>
      <button
        type="button"
        class={danger ? "danger" : ""}
        aria-label={`${label} ${about}`}
        onClick={() => setOpen(true)}
      >
        {label}
      </button>
      {open
        ? (
          <Dialog
            title={`${label} ${about}?`}
            onClose={() => setOpen(false)}
            verb={verb}
            danger={danger ?? false}
            act={async () => {
              await act()
              onDone?.()
            }}
          >
            {question}
          </Dialog>
        )
        : null}
    </>
  )
}

interface DialogProps {
  readonly title: string
  readonly verb: string
  readonly danger: boolean
  readonly act: () => Promise<void>
  readonly onClose: () => void
  readonly children: ComponentChildren
}

/** The browser's own dialog keeps the focus inside and closes with Escape. */
const Dialog = ({ act, children, danger, onClose, title, verb }: DialogProps) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string>()
  useEffect(() => {
    const before = document.activeElement
    dialog.current?.showModal()
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  const go = async () => {
    setBusy(true)
    setProblem(undefined)
    try {
      await act()
      onClose()
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error))
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="dialog-title">
      <h2 id="dialog-title">{title}</h2>
      <div>{children}</div>
      <Problem text={problem} />
      <div class="buttons">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class={danger ? "danger" : "main"} disabled={busy} onClick={() => void go()}>
          {busy ? "Working…" : verb}
        </button>
      </div>
    </dialog>
  )
}
