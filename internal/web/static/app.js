// What pages cannot do without a script. All of it is comfort: each page works without.
(() => {
  const D = document, $ = (s, e = D) => e.querySelector(s), $$ = (s, e = D) => [...e.querySelectorAll(s)]
  const rough = s => s < 60 ? `${s | 0} s` : s < 3600 ? `${s / 60 | 0} min` : s < 172800 ? `${s / 3600 | 0} h` : `${s / 86400 | 0} days`
  const times = () => $$('time[datetime]').forEach(t => {
    const at = new Date(t.dateTime), s = (Date.now() - at) / 1000
    t.textContent = 'clock' in t.dataset ? at.toLocaleString([], { ...(at.toDateString() != new Date().toDateString() && { month: 'short', day: 'numeric' }), hour: '2-digit', minute: '2-digit' }) : s < 0 ? `in ${rough(-s)}` : s < 5 ? 'just now' : `${rough(s)} ago`
    if (!t.title.includes('here')) t.title += `, ${at.toLocaleString()} here`
  })
  const settle = () => {
    times()
    const d = $('#dialog dialog:not([open])')
    if (d) { d.showModal(); d.onclose = () => d.remove() }
    const f = $('[data-focus]')
    if (f) { f.removeAttribute('data-focus'); f.focus() }
  }
  addEventListener('DOMContentLoaded', settle)
  D.addEventListener('htmx:after:swap', settle)
  setInterval(times, 10000)
  D.addEventListener('close-dialog', () => $('#dialog dialog')?.close())
  D.addEventListener('submit', e => e.target.closest('[popover]')?.hidePopover())
  D.addEventListener('click', async e => {
    const b = e.target.closest('[data-copy],[data-close]')
    if (!b) return
    if ('close' in b.dataset) { const d = b.closest('dialog'); if (d) { e.preventDefault(); d.close() } return }
    const from = $(b.dataset.copy), was = b.textContent
    try { await navigator.clipboard.writeText(from.textContent) } catch { getSelection().selectAllChildren(from); D.execCommand('copy') }
    b.textContent = 'Copied'; setTimeout(() => b.textContent = was, 1500)
  })
  D.addEventListener('change', e => {
    const all = e.target.closest('[data-all]'), bulk = $('#bulk')
    if (all) $$(all.dataset.all).forEach(c => c.checked = all.checked)
    if (bulk) { const n = $$('[name=id]:checked').length; bulk.hidden = !n; $('[data-count]', bulk).textContent = n }
  })
  // News: the page asks for itself again, unless someone is reading further down or at work in it.
  let waiting = 0
  const fresh = $('#fresh'), pulse = $('#pulse')
  const refresh = () => { waiting = 0; fresh.hidden = true; htmx.trigger('#content', 'refresh') }
  if (fresh) fresh.onclick = () => { $$('[name=id]:checked').forEach(c => c.click()); scrollTo(0, 0); refresh() }
  D.addEventListener('news', e => {
    const a = D.activeElement
    if (scrollY < 120 && !$('[name=id]:checked,:popover-open,dialog[open]') && !(a?.form && $('#content').contains(a) && a.matches('input,select,textarea'))) return refresh()
    waiting += +e.detail.data
    fresh.textContent = `${waiting.toLocaleString('en')} new`; fresh.hidden = false
  })
  D.addEventListener('signed-out', () => location.reload())
  let lost = 0
  D.addEventListener('htmx:sse:error', e => {
    if (e.detail.status == 401) return location.reload()
    pulse.hidden = false; pulse.textContent = ++lost > 3 ? 'Live updates are off. Refresh' : 'Reconnecting…'
  })
  D.addEventListener('htmx:sse:after:connection', () => { lost = 0; pulse.hidden = true })
  // Keys in lists: j and k move, Enter opens, x selects, r replays, / searches.
  D.addEventListener('keydown', e => {
    if (!('shortcuts' in D.body.dataset) || e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input:not([type=checkbox]),textarea,select,dialog')) return
    const rows = $$('tr[data-href]'), at = rows.findIndex(r => r.contains(D.activeElement)), go = i => $('a', rows[i] || D.body.cloneNode())?.focus()
    const does = { j: () => go(at + 1), k: () => go(Math.max(at - 1, 0)), x: () => rows[at] && $('[name=id]', rows[at])?.click(), r: () => $('#bulk:not([hidden]) [data-key=r]')?.click(), '/': () => $('#find').focus() }[e.key]
    if (does) { e.preventDefault(); does() }
  })
})()
