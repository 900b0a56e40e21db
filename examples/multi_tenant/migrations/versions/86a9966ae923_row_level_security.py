"""Keep tenants apart by row-level security.

Written by ``stockade db rls``; write it anew when a table that belongs to tenants is added.
"""

from alembic import op

revision = "86a9966ae923"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE notes FORCE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON notes")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON notes")
    op.execute("DROP POLICY IF EXISTS stockade_update ON notes")
    op.execute(
        "CREATE POLICY stockade_tenant ON notes AS PERMISSIVE FOR ALL USING (notes.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))) WITH CHECK (notes.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), '')))"
    )
    op.execute(
        "COMMENT ON POLICY stockade_tenant ON notes IS 'stockade ce405094f77bf48bc55bb30fcdf9fe89'"
    )
    op.execute("ALTER TABLE comments ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE comments FORCE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON comments")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON comments")
    op.execute("DROP POLICY IF EXISTS stockade_update ON comments")
    op.execute(
        "CREATE POLICY stockade_tenant ON comments AS PERMISSIVE FOR ALL USING (EXISTS (SELECT 1 FROM notes AS stockade_1 WHERE stockade_1.id = comments.note_id AND stockade_1.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), '')))) WITH CHECK (EXISTS (SELECT 1 FROM notes AS stockade_1 WHERE stockade_1.id = comments.note_id AND stockade_1.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))))"
    )
    op.execute(
        "COMMENT ON POLICY stockade_tenant ON comments IS 'stockade 7c9b9940ad8ad6e54678057ee9e3d860'"
    )
    op.execute("ALTER TABLE project_notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE project_notes FORCE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON project_notes")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON project_notes")
    op.execute("DROP POLICY IF EXISTS stockade_update ON project_notes")
    op.execute(
        "CREATE POLICY stockade_tenant ON project_notes AS PERMISSIVE FOR ALL USING (EXISTS (SELECT 1 FROM notes AS stockade_1 WHERE stockade_1.id = project_notes.note_id AND stockade_1.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))) AND EXISTS (SELECT 1 FROM projects AS stockade_1 WHERE stockade_1.id = project_notes.project_id AND stockade_1.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), '')))) WITH CHECK (EXISTS (SELECT 1 FROM notes AS stockade_1 WHERE stockade_1.id = project_notes.note_id AND stockade_1.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))) AND EXISTS (SELECT 1 FROM projects AS stockade_1 WHERE stockade_1.id = project_notes.project_id AND stockade_1.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))))"
    )
    op.execute(
        "COMMENT ON POLICY stockade_tenant ON project_notes IS 'stockade b7f41d5c3bf4dcff18219d93cc554e00'"
    )
    op.execute("ALTER TABLE projects ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE projects FORCE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON projects")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON projects")
    op.execute("DROP POLICY IF EXISTS stockade_update ON projects")
    op.execute(
        "CREATE POLICY stockade_tenant ON projects AS PERMISSIVE FOR ALL USING (projects.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))) WITH CHECK (projects.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), '')))"
    )
    op.execute(
        "COMMENT ON POLICY stockade_tenant ON projects IS 'stockade 1aebdd3b77800e9c4eca173fae358d9c'"
    )
    op.execute("ALTER TABLE departments ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE departments FORCE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON departments")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON departments")
    op.execute("DROP POLICY IF EXISTS stockade_update ON departments")
    op.execute(
        "CREATE POLICY stockade_tenant ON departments AS PERMISSIVE FOR ALL USING (departments.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), ''))) WITH CHECK (departments.tenant_id = (SELECT nullif(current_setting('stockade.tenant_id', true), '')))"
    )
    op.execute(
        "COMMENT ON POLICY stockade_tenant ON departments IS 'stockade 0e3ec77c5f83212b1a575b5a82a50494'"
    )


def downgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON notes")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON notes")
    op.execute("DROP POLICY IF EXISTS stockade_update ON notes")
    op.execute("ALTER TABLE notes NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE notes DISABLE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON comments")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON comments")
    op.execute("DROP POLICY IF EXISTS stockade_update ON comments")
    op.execute("ALTER TABLE comments NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE comments DISABLE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON project_notes")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON project_notes")
    op.execute("DROP POLICY IF EXISTS stockade_update ON project_notes")
    op.execute("ALTER TABLE project_notes NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE project_notes DISABLE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON projects")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON projects")
    op.execute("DROP POLICY IF EXISTS stockade_update ON projects")
    op.execute("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE projects DISABLE ROW LEVEL SECURITY")
    op.execute("DROP POLICY IF EXISTS stockade_tenant ON departments")
    op.execute("DROP POLICY IF EXISTS stockade_insert ON departments")
    op.execute("DROP POLICY IF EXISTS stockade_update ON departments")
    op.execute("ALTER TABLE departments NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE departments DISABLE ROW LEVEL SECURITY")
