"""A rehearsal: somebody's own policies, some nights long, on a hostile cloud that is made up from the policy file.

    curfew rehearse curfew.yaml --seed 7 --faults harsh

``population`` draws from the file whom each policy means and whom it only nearly means, ``nights`` sends the real
handler through some nights there, ``promises`` judges by what the cloud saw, ``show`` tells it. Nothing real is
reached: see ``alone``, and docs/hostile-cloud.md.
"""
