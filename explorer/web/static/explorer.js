// Moments as a tooltip in the reader's own time zone; everything else works without this file.
"use strict";
function localTimes() {
  for (const each of document.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    if (!Number.isNaN(at.getTime())) each.title = at.toLocaleString();
  }
}
document.addEventListener("DOMContentLoaded", localTimes);
document.addEventListener("htmx:after:swap", localTimes);
