"""The claims ledger: every number in a page is written by a command between markers, and a test compares the two.

<!-- claim ad_click.demo.model.log_loss -->0.0812<!-- /claim -->        one number
<!-- table ad_click.demo -->  ...  <!-- /table -->                      a whole generated block
"""

from __future__ import annotations
