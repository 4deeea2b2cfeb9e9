"""What the case is judged by: offline against the key (here), online from the log (`online`), and from few hand labels (`sampling`, `prevalence`)."""
